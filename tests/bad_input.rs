//! What no sender should send, against the real program: each gets its answer, the rows that came before and come after
//! are stored, and memory stays bounded.

mod service;

use flate2::write::GzEncoder;
use prost::Message;
use service::http::{self, Answer};
use service::program::Program;
use service::{grpc, rows};
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::Code;
use weir::Signal;

const MIB: usize = 1 << 20;

/// Default limits let a process hold 64 MiB of requests, the rows made of them, and what it encodes. More than this is
/// memory that grows with what is sent.
const MEMORY_MIB_MAX: u64 = 600;

/// The program, and how many rows it has acknowledged.
struct Server {
    program: Program,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
    acknowledged: usize,
}

impl Server {
    fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start(folder.path(), configuration);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut server = Self { program, folder, runtime, acknowledged: 0 };
        server.accepts();
        server
    }

    /// A good request is acknowledged, over both protocols: the server is alive.
    fn accepts(&mut self) {
        let good = service::traces(vec![service::span(self.acknowledged as u64, "good")]).encode_to_vec();
        assert_eq!(http::post(self.program.http, "/v1/traces", &good).status, 200);
        self.call("traces", good).unwrap();
        self.acknowledged += 2;
    }

    fn call(&self, of: &str, message: Vec<u8>) -> Result<Vec<u8>, tonic::Status> {
        self.runtime.block_on(grpc::call(self.program.grpc, &grpc::export(of), message))
    }

    /// Bytes that can never be accepted: 400 and INVALID_ARGUMENT, with a `google.rpc.Status` that says why.
    fn refuses(&mut self, body: &[u8], why: &str) {
        let answer = http::post(self.program.http, "/v1/traces", body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
        assert!(answer.text().contains(why), "no {why:?} in {:?}", answer.text());
        let status = self.call("traces", body.to_vec()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(why), "no {why:?} in {:?}", status.message());
        self.accepts();
    }

    fn refuses_json(&mut self, body: &[u8], why: &str) {
        let answer = http::post_json(self.program.http, "/v1/traces", body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(status["code"], Code::InvalidArgument as i32, "{status}");
        assert!(status["message"].as_str().unwrap().contains(why), "no {why:?} in {status}");
        self.accepts();
    }

    /// Ends it: what was acknowledged is stored, nothing else, and memory was bounded.
    fn end(self) {
        let memory = self.program.memory_mib_max();
        let (status, said) = self.program.terminate();
        assert!(status.success(), "{said}");
        let stored = rows::read(&self.folder.path().join("data"), "spans");
        assert_eq!(stored.len(), self.acknowledged, "{said}");
        assert!(memory <= MEMORY_MIB_MAX, "{memory} MiB");
    }
}

fn good() -> Vec<u8> {
    service::traces(vec![service::span(77, "never stored")]).encode_to_vec()
}

/// A field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    [out, content.to_vec()].concat()
}

/// A request of one span with these fields.
fn span_of(fields: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, fields)))
}

#[test]
fn protobuf_that_is_cut_anywhere_is_refused() {
    let mut server = Server::start("");
    let whole = good();
    let answers = |status| move |answer: &Answer| answer.status == status;
    // A cut may end between two fields only at the very beginning, where there is nothing: that is a request, too.
    let cuts: Vec<Answer> =
        (1..whole.len()).map(|at| http::post(server.program.http, "/v1/traces", &whole[..at])).collect();
    assert!(cuts.iter().all(answers(400)), "{:?}", cuts.iter().map(|answer| answer.status).collect::<Vec<_>>());
    server.refuses(&whole[..whole.len() - 1], "");
    server.end();
}

#[test]
fn wrong_wire_types_are_refused() {
    let mut server = Server::start("");
    // `resource_spans` as a varint, a group that is not known, wire types that do not exist, and field number 0.
    for body in [&[1 << 3, 5][..], &[1 << 3 | 3, 1 << 3 | 4], &[1 << 3 | 6], &[1 << 3 | 7, 0], &[0, 0]] {
        server.refuses(body, "");
    }
    // The name of a span as a varint, its start as bytes, its trace id as 32 bits.
    for fields in [&[5 << 3, 1][..], &[7 << 3 | 2, 1, 0], &[1 << 3 | 5, 0, 0, 0, 0]] {
        server.refuses(&span_of(fields), "");
    }
    server.end();
}

#[test]
fn a_varint_that_does_not_end_and_a_length_beyond_the_message_are_refused() {
    let mut server = Server::start("");
    server.refuses(&[0xff; 32], "");
    server.refuses(&[1 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "");
    server.refuses(&[1 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0x07, 0], "");
    server.end();
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let mut server = Server::start("");
    server.refuses(&span_of(&field(5, b"na\xffme")), "UTF-8");
    // The key of an attribute, and its value.
    server.refuses(&span_of(&field(9, &field(1, b"\xc3\x28"))), "UTF-8");
    server.refuses(&span_of(&field(9, &field(2, &field(1, b"\xed\xa0\x80")))), "UTF-8");
    server.refuses_json(b"{\"resourceSpans\": [{\"schemaUrl\": \"\xff\"}]}", "unicode");
    server.end();
}

#[test]
fn values_nested_10_000_deep_are_refused_without_a_stack_overflow() {
    let mut server = Server::start("");
    for depth in [65, 10_000] {
        let mut value = field(1, b"the bottom");
        for _ in 1..depth {
            value = field(5, &field(1, &value));
        }
        server.refuses(&span_of(&field(9, &[field(1, b"deep"), field(2, &value)].concat())), "64");
        let open = r#"{"arrayValue":{"values":["#.repeat(depth);
        let close = "]}}".repeat(depth);
        let value = format!("{open}{{\"stringValue\":\"the bottom\"}}{close}");
        let span = format!(r#"{{"attributes":[{{"key":"deep","value":{value}}}]}}"#);
        server
            .refuses_json(format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#).as_bytes(), "64");
    }
    // Where it does not belong either: within what is not known.
    let unknown = format!("{{\"notYetInvented\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(http::post_json(server.program.http, "/v1/traces", unknown.as_bytes()).status, 400);
    server.accepts();
    server.end();
}

#[test]
fn json_that_is_none_is_refused() {
    let mut server = Server::start("");
    for body in ["{", "[]", "null", "{\"resourceSpans\": 7}", "{\"resourceSpans\": [{]}", "nul", "\"\\ud800\"", "{} {}"]
    {
        server.refuses_json(body.as_bytes(), "");
    }
    let kind = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_NOBODY"}]}]}]}"#;
    server.refuses_json(kind.as_bytes(), "SPAN_KIND_NOBODY");
    server.end();
}

fn gzip(zeros_mib: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    for _ in 0..zeros_mib {
        encoder.write_all(&[0; MIB]).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_gzip_bomb_is_too_large_and_costs_bounded_memory() {
    let mut server = Server::start("");
    let bomb = gzip(1_024);
    assert!(bomb.len() < 8 * MIB, "the bomb itself is small: {}", bomb.len());
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    for _ in 0..3 {
        let answer = http::send(server.program.http, "POST", "/v1/traces", &headers, &bomb);
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), None, "to come back would not help");
        server.accepts();
    }
    let broken = http::send(server.program.http, "POST", "/v1/traces", &headers, &bomb[..100]);
    assert_eq!(broken.status, 400, "gzip that is cut: {}", broken.text());
    server.accepts();
    server.end();
}

#[test]
fn a_body_of_65_mib_is_too_large() {
    let mut server = Server::start("");
    let large = vec![0; 65 * MIB];
    let answer = http::post(server.program.http, "/v1/traces", &large);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), None, "to come back would not help");
    server.accepts();
    let status = server.call("traces", large).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.details().is_empty(), "a RetryInfo would make the client send it again");
    server.accepts();
    server.end();
}

#[test]
fn a_body_below_the_limit_is_taken() {
    let mut server = Server::start("");
    let mut span = service::span(0, "large");
    span.attributes = vec![service::text("large", &"x".repeat(60 * MIB))];
    let large = service::traces(vec![span]).encode_to_vec();
    let answer = http::post(server.program.http, "/v1/traces", &large);
    assert_eq!(answer.status, 200, "below 64 MiB: {}", answer.text());
    server.acknowledged += 1;
    // Its memory is free again when its row is written.
    let until = Instant::now() + Duration::from_secs(30);
    while http::post(server.program.http, "/v1/traces", &good()).status != 200 {
        assert!(Instant::now() < until, "its memory is never free again");
        std::thread::sleep(Duration::from_millis(100));
    }
    server.acknowledged += 1;
    server.accepts();
    server.end();
}

#[test]
fn an_unknown_path_method_type_or_compression_is_named() {
    let mut server = Server::start("");
    let to = server.program.http;
    assert_eq!(http::post(to, "/v1/profiles", &good()).status, 404);
    assert_eq!(http::post(to, "/", &good()).status, 404);
    let other = http::send(to, "PUT", "/v1/traces", &[("content-type", "application/x-protobuf")], &good());
    assert_eq!((other.status, other.header("allow").is_some_and(|allow| allow.contains("POST"))), (405, true));
    assert_eq!(http::get(to, "/v1/traces").status, 405);
    for headers in [&[("content-type", "text/plain")][..], &[]] {
        assert_eq!(http::send(to, "POST", "/v1/traces", headers, &good()).status, 415);
    }
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "br")];
    assert_eq!(http::send(to, "POST", "/v1/traces", &headers, &good()).status, 415);
    let status = server.runtime.block_on(grpc::call(server.program.grpc, "/no.such.Service/Export", good()));
    assert_eq!(status.unwrap_err().code(), Code::Unimplemented);
    server.accepts();
    server.end();
}

#[test]
fn a_slow_body_is_given_up_and_others_do_not_wait_for_it() {
    let mut server = Server::start("body_timeout = \"1s\"\n");
    let body = good();
    let started = Instant::now();
    let mut slow: Vec<_> = (0..20).map(|_| http::connect(server.program.http)).collect();
    for stream in &mut slow {
        let headers = [("content-type", "application/x-protobuf")];
        stream.write_all(http::head("POST", "/v1/traces", &headers, body.len()).as_bytes()).unwrap();
        stream.write_all(&body[..3]).unwrap();
    }
    server.accepts();
    assert!(started.elapsed() < Duration::from_secs(1), "others waited: {:?}", started.elapsed());
    for mut stream in slow {
        // An answer that is retryable, or the end of the connection: the rest never comes.
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said);
        assert!(read.is_ok(), "it is not given up: {read:?}");
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&said));
    }
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    server.accepts();
    server.end();
}

#[test]
fn garbage_that_is_no_http_ends_the_connection_only() {
    let mut server = Server::start("");
    for address in [server.program.http, server.program.grpc] {
        let mut stream = http::connect(address);
        // The server may close before all has come.
        let _ = stream.write_all(&[0x16; 4_096]);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
    }
    server.accepts();
    server.end();
}

#[test]
fn a_million_unique_keys_are_stored_in_bounded_memory() {
    let mut server = Server::start("");
    const REQUESTS: usize = 100;
    const ROWS: usize = 100;
    const KEYS: usize = 100;
    for request in 0..REQUESTS {
        let spans = (0..ROWS).map(|row| {
            let mut span = service::span((request * ROWS + row) as u64, "many keys");
            span.attributes = (0..KEYS).map(|key| service::text(&format!("key.{request}.{row}.{key}"), "v")).collect();
            span
        });
        let body = service::traces(spans.collect()).encode_to_vec();
        // When told to come back, a client does.
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = http::post(server.program.http, "/v1/traces", &body);
            if answer.status == 200 {
                break;
            }
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(Instant::now() < until, "it never has room again: {}", answer.text());
            std::thread::sleep(Duration::from_millis(200));
        }
        server.acknowledged += ROWS;
    }
    server.accepts();
    server.end();
}

#[test]
fn ids_that_are_not_valid_are_no_reason_to_refuse_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), "");
    let mut spans: Vec<_> = (0..3).map(|number| service::span(number, "odd ids")).collect();
    spans[0].trace_id = vec![0; 16];
    spans[1].trace_id = vec![1; 7];
    spans[2].span_id = Vec::new();
    let answer = http::post(program.http, "/v1/traces", &service::traces(spans).encode_to_vec());
    assert_eq!((answer.status, answer.body.len()), (200, 0), "full success is no bytes");
    let (status, said) = program.terminate();
    assert!(status.success(), "{said}");
    let stored = rows::read(&folder.path().join("data"), Signal::Spans.name());
    let nulls = |column: &str| stored.iter().filter(|row| row[column] == rows::Cell::Null).count();
    assert_eq!((stored.len(), nulls("trace_id"), nulls("span_id")), (3, 2, 1));
}
