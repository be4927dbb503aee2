//! DELTA_BINARY_PACKED: the first number, then differences in blocks of 128, each block less its least difference and packed
//! in four parts of 32, each as narrow as its numbers allow.

use super::hybrid::{pack, varint};

const BLOCK: usize = 128;
const PART: usize = 32;

/// Numbers of `bits` bits, 32 or 64, as two's complements; differences wrap around at that width, as readers have it.
pub(super) fn encode(out: &mut Vec<u8>, numbers: &[u64], bits: u32) {
    let wrapped = |number: u64| if bits == 32 { i64::from(number as i32) } else { number.cast_signed() };
    varint(out, BLOCK as u64);
    varint(out, (BLOCK / PART) as u64);
    varint(out, numbers.len() as u64);
    zigzag(out, numbers.first().map_or(0, |&first| wrapped(first)));
    let mut differences = [0_i64; BLOCK];
    let mut at = 1;
    while at < numbers.len() {
        let count = BLOCK.min(numbers.len() - at);
        let mut least = i64::MAX;
        for (difference, pair) in differences.iter_mut().zip(numbers[at - 1..at + count].windows(2)) {
            *difference = wrapped(pair[1].wrapping_sub(pair[0]));
            least = least.min(*difference);
        }
        block(out, &differences[..count], least, bits);
        at += count;
    }
}

fn block(out: &mut Vec<u8>, differences: &[i64], least: i64, bits: u32) {
    let above = |difference: &i64| {
        let above = difference.wrapping_sub(least).cast_unsigned();
        if bits == 32 { u64::from(above as u32) } else { above }
    };
    zigzag(out, least);
    let widths = out.len();
    out.extend_from_slice(&[0; BLOCK / PART]);
    for (at, part) in differences.chunks(PART).enumerate() {
        let all = part.iter().map(above).fold(0, |all, above| all | above);
        let width = u64::BITS - all.leading_zeros();
        out[widths + at] = width as u8;
        if width > 0 {
            let end = out.len() + PART / 8 * width as usize;
            pack(out, part.iter().map(above), width);
            out.resize(end, 0);
        }
    }
}

fn zigzag(out: &mut Vec<u8>, number: i64) {
    varint(out, (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}
