//! Signatures of bodies: HMAC with SHA-256 (RFC 2104), in hex, as PagerDuty sends them.

use sha2::{Digest, Sha256};
use std::hint::black_box;

/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Whether one of the signatures, `v1=HEX,v1=HEX`, is that of the body. There are several while a secret is replaced by
/// another; those of other versions are passed over.
pub(super) fn is_valid(secret: &[u8], signatures: &[u8], body: &[u8]) -> bool {
    let expected = hmac(secret, body);
    let mut valid = false;
    for signature in signatures.split(|byte| *byte == b',') {
        let Some(hex) = signature.trim_ascii().strip_prefix(b"v1=") else { continue };
        valid |= unhex(hex).is_some_and(|found| are_equal(&expected, &found));
    }
    valid
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    match block.get_mut(..key.len()) {
        Some(start) => start.copy_from_slice(key),
        None => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// Takes as long wherever the two differ, so that nobody can guess one byte after the other.
fn are_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    black_box(a.iter().zip(b).fold(0, |differences, (a, b)| black_box(differences | (a ^ b)))) == 0
}

fn unhex(hex: &[u8]) -> Option<[u8; 32]> {
    if hex.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0, |byte, digit| Some(byte << 4 | (*digit as char).to_digit(16)? as u8))?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_vectors_of_rfc_4231_come_out() {
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        for (key, message, expected) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&[0xaa; 131], long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        ] {
            assert_eq!(hex(&hmac(key, message)), expected);
        }
    }

    #[test]
    fn one_good_signature_among_several_is_enough() {
        let good = format!("v1={}", hex(&hmac(b"secret", b"{}")));
        let other = format!("v1={}", "0".repeat(64));
        for signatures in [good.clone(), good.to_uppercase().replace("V1", "v1"), format!("{other}, {good}")] {
            assert!(is_valid(b"secret", signatures.as_bytes(), b"{}"), "{signatures}");
        }
    }

    #[test]
    fn any_other_signature_is_none() {
        let good = hex(&hmac(b"secret", b"{}"));
        let signed = |signature: &str| is_valid(b"secret", signature.as_bytes(), b"{}");
        let mut almost = good.clone();
        let last = if almost.pop() == Some('0') { '1' } else { '0' };
        almost.push(last);
        for wrong in [
            String::new(),
            "v1=".to_owned(),
            good.clone(),
            format!("v0={good}"),
            format!("v1={almost}"),
            format!("v1={}", &good[..62]),
            format!("v1={good}00"),
            format!("v1={}zz", &good[..62]),
        ] {
            assert!(!signed(&wrong), "{wrong}");
        }
        let good = format!("v1={good}");
        assert!(!is_valid(b"other", good.as_bytes(), b"{}") && !is_valid(b"secret", good.as_bytes(), b"{ }"));
    }
}
