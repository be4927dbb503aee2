//! What cannot be taken, and the answer that each fault gets.

use super::*;

const GZIPPED: (&str, &str) = ("content-encoding", "gzip");

#[tokio::test]
async fn passing_trouble_is_503_with_retry_after_or_unavailable_with_retry_info() {
    for error in [
        Error::overload("trouble"),
        Error::storage("trouble"),
        Error::plugin("trouble"),
        Error::bug("trouble"),
        Error::config("trouble"),
    ] {
        let kind = error.kind();
        let running = start_answering(move |_, _| Err(error.clone())).await;
        let reply = post(running.http, TRACES, &[PROTOBUF], "x").await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"), "{kind:?}");
        let status = reply.status_protobuf();
        assert_eq!((status.code, status.message.as_str()), (14, "trouble"));
        assert_eq!(status.retry_delay(), Some(Duration::from_secs(1)));

        let reply = post(running.http, TRACES, &[JSON], "{x").await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"), "{kind:?}");
        let expected = serde_json::json!({
            "code": 14,
            "message": "trouble",
            "details": [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s" }],
        });
        assert_eq!(reply.status_json(), expected);

        let reply = grpc(running.grpc, TRACE_EXPORT, b"x").await;
        assert_eq!((reply.grpc_code(), reply.header("grpc-message")), (14, "trouble"), "{kind:?}");
        assert_eq!(reply.grpc_details().unwrap().retry_delay(), Some(Duration::from_secs(1)));
        assert!(running.intake.seen().is_empty());
    }
}

#[tokio::test]
async fn the_time_to_wait_is_rounded_up_where_only_seconds_can_be_said() {
    let mut settings = settings();
    settings.retry_after = Duration::from_millis(2500);
    let running = start_with(settings, 1 << 30, |_, _| Err(Error::overload("full"))).await;
    let reply = post(running.http, TRACES, &[JSON], "{x").await;
    assert_eq!(reply.header("retry-after"), "3");
    assert_eq!(reply.status_json()["details"][0]["retryDelay"], "2.5s");
    let reply = grpc(running.grpc, TRACE_EXPORT, b"x").await;
    assert_eq!(reply.grpc_details().unwrap().retry_delay(), Some(Duration::from_millis(2500)));
}

#[tokio::test]
async fn undecodable_is_400_or_invalid_argument() {
    let running = start_answering(|_, _| Err(Error::data("field 7: wire type 6"))).await;
    let reply = post(running.http, TRACES, &[PROTOBUF], "x").await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (400, ""));
    let status = reply.status_protobuf();
    assert_eq!((status.code, status.message.as_str(), status.details.len()), (3, "field 7: wire type 6", 0));
    let reply = post(running.http, TRACES, &[JSON], "{x").await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.status_json(), serde_json::json!({ "code": 3, "message": "field 7: wire type 6" }));
    let reply = grpc(running.grpc, TRACE_EXPORT, b"x").await;
    assert_eq!((reply.grpc_code(), reply.grpc_details()), (3, None));
}

#[tokio::test]
async fn json_that_is_none_is_400_in_json() {
    let running = start().await;
    for body in ["", "nonsense"] {
        let reply = post(running.http, TRACES, &[JSON], body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.status_json()["code"], 3);
    }
}

#[tokio::test]
async fn a_message_of_any_text_and_length_reaches_grpc_clients() {
    let running = start_answering(|_, _| Err(Error::data(format!("naïve\n{}", "é".repeat(100_000))))).await;
    let reply = grpc(running.grpc, TRACE_EXPORT, b"x").await;
    let status = tonic::Status::from_header_map(&reply.headers).unwrap();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().starts_with("naïve\né") && status.message().len() <= 1024);
}

#[tokio::test]
async fn an_unknown_path_is_404_with_a_status_in_the_encoding_of_the_request() {
    let running = start().await;
    let reply = post(running.http, "/v1/profiles", &[JSON], "{}").await;
    assert_eq!(reply.status, 404);
    assert!(reply.status_json()["message"].as_str().unwrap().contains("/v1/profiles"));
    let reply = post(running.http, "/", &[PROTOBUF], "x").await;
    assert_eq!(reply.status, 404);
    assert!(reply.status_protobuf().message.contains("/v1/traces"));
}

#[tokio::test]
async fn an_unknown_method_of_grpc_is_unimplemented() {
    let running = start().await;
    let path = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    assert_eq!(grpc(running.grpc, path, b"x").await.grpc_code(), 12);
    assert_eq!(grpc(running.grpc, TRACES, b"x").await.grpc_code(), 12, "a path of HTTP is no method of gRPC");
}

#[tokio::test]
async fn whatever_is_not_a_post_is_405_and_says_what_is_allowed() {
    let running = start().await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let reply = http1(running.http, method, TRACES, &[JSON], "").await;
        assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "POST"), "{method}");
        assert!(reply.status_json()["message"].as_str().unwrap().contains(method));
    }
    assert_eq!(http1(running.http, "HEAD", TRACES, &[], "").await.status, 405);
}

#[tokio::test]
async fn an_unknown_media_type_is_415() {
    let running = start().await;
    for media in ["text/plain", "application/xml", "", "application/grpc", "application/json-seq"] {
        let reply = post(running.http, TRACES, &[("content-type", media)], "x").await;
        assert_eq!(reply.status, 415, "{media}");
        assert_eq!(reply.status_protobuf().code, 3);
    }
    assert_eq!(post(running.http, TRACES, &[], "x").await.status, 415, "no media type at all");
    for media in ["application/grpc", "application/grpc-web+proto", "application/x-protobuf"] {
        let reply = post(running.http, TRACE_EXPORT, &[("content-type", media)], "x").await;
        assert_eq!(reply.status, 415, "gRPC is not spoken over HTTP/1.1: {media}");
    }
    assert!(running.intake.seen().is_empty());
}

#[tokio::test]
async fn an_unknown_compression_is_415_or_unimplemented_and_says_what_is_understood() {
    let running = start().await;
    for coding in ["br", "deflate", "gzip, gzip"] {
        let reply = post(running.http, TRACES, &[JSON, ("content-encoding", coding)], "{}").await;
        assert_eq!((reply.status.as_u16(), reply.header("accept-encoding")), (415, "gzip, zstd, identity"), "{coding}");
        assert!(reply.status_json()["message"].as_str().unwrap().contains(coding));
    }
    let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", "snappy")], framed(1, b"x")).await;
    assert_eq!((reply.grpc_code(), reply.header("grpc-accept-encoding")), (12, "gzip, zstd, identity"));
}

#[tokio::test]
async fn messages_of_grpc_in_another_format_are_unimplemented() {
    let running = start().await;
    let mut sender = http2(running.grpc).await;
    let headers = [("content-type", "application/grpc+json")];
    let request =
        request("POST", &format!("http://weir{TRACE_EXPORT}"), &headers, Full::new(Bytes::from(framed(0, b"{}"))));
    assert_eq!(Reply::of(sender.send_request(request).await.unwrap()).await.grpc_code(), 12);
}

#[tokio::test]
async fn damaged_gzip_and_zstd_are_400_or_invalid_argument() {
    let running = start().await;
    let body: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    for (name, whole) in [("gzip", gzip(&body)), ("zstd", zstd(&body))] {
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        let damaged = [
            ("truncated", whole[..whole.len() / 2].to_vec()),
            ("without its last byte", whole[..whole.len() - 1].to_vec()),
            ("with something after it", [&whole[..], b"garbage after the end"].concat()),
            ("not compressed", b"plain text, as it is".to_vec()),
            ("of no bytes", Vec::new()),
        ];
        for (how, bytes) in damaged {
            let reply = post(running.http, TRACES, &[PROTOBUF, ("content-encoding", name)], bytes.clone()).await;
            assert_eq!(reply.status, 400, "{name} {how}");
            assert_eq!(reply.status_protobuf().code, 3);
            if !bytes.is_empty() {
                let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[("grpc-encoding", name)], framed(1, &bytes)).await;
                assert_eq!(reply.grpc_code(), 3, "{name} {how}");
            }
        }
        // zstd as written here has no checksum, so that only gzip is sure to notice.
        if name == "gzip" {
            let reply = post(running.http, TRACES, &[PROTOBUF, GZIPPED], flipped).await;
            assert_eq!(reply.status, 400, "a bit is wrong");
        }
    }
    assert!(running.intake.seen().is_empty());
    assert_eq!(running.intake.budget.held(), 0);
}

#[tokio::test]
async fn a_call_without_a_message_or_with_two_is_invalid_argument() {
    let running = start().await;
    let two = [framed(0, b"one"), framed(0, b"two")].concat();
    for (how, body) in [
        ("none", Vec::new()),
        ("two", two),
        ("half a prefix", vec![0, 0, 0]),
        ("half a message", framed(0, b"message")[..8].to_vec()),
        ("prefix only", vec![0, 0, 0, 0, 9]),
        ("an unknown flag", framed(2, b"x")),
        ("compressed, and not said how", framed(1, &gzip(b"x"))),
    ] {
        let reply = grpc_raw(running.grpc, TRACE_EXPORT, &[], body).await;
        assert_eq!((reply.status.as_u16(), reply.grpc_code()), (200, 3), "{how}");
    }
    assert!(running.intake.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_http_is_hung_up_on_and_the_server_lives() {
    let running = start().await;
    for garbage in [&b"\x00\x01\x02\x03\xff\xfe\r\n\r\n"[..], b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"] {
        let _ = raw(running.http, garbage).await;
        let _ = raw(running.grpc, garbage).await;
    }
    let wrong_frames = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xff; 64]].concat();
    let _ = raw(running.grpc, &wrong_frames).await;
    assert_eq!(post(running.http, TRACES, &[PROTOBUF], "x").await.status, 200);
}

#[tokio::test]
async fn a_broken_chunked_body_is_400() {
    let running = start().await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: weir\r\ncontent-type: application/x-protobuf\r\n";
    let answer = raw(running.http, format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n").as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    assert!(running.intake.seen().is_empty());
}
