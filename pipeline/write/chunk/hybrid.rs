//! Parquet's packed bits, and its hybrid of runs and packed bits: eight or more equal numbers are a run, others are packed
//! in groups of eight.

/// Numbers of `width` bits, from 1 to 32.
pub(super) fn encode(out: &mut Vec<u8>, numbers: &[u32], width: u32) {
    let (mut packed, mut at) = (0, 0);
    while at < numbers.len() {
        let rest = &numbers[at..];
        let equal = rest.iter().take_while(|&&number| number == rest[0]).count();
        if equal >= 8 {
            groups(out, &numbers[packed..at], width);
            run(out, rest[0], width, equal);
            at += equal;
            packed = at;
        } else {
            // Groups of packed numbers are whole, except for the last.
            at += 8.min(rest.len());
        }
    }
    groups(out, &numbers[packed..], width);
}

/// The same number so many times.
pub(super) fn run(out: &mut Vec<u8>, number: u32, width: u32, times: usize) {
    varint(out, (times as u64) << 1);
    out.extend_from_slice(&number.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Groups of eight, the last one filled up with zeros.
fn groups(out: &mut Vec<u8>, numbers: &[u32], width: u32) {
    if numbers.is_empty() {
        return;
    }
    let groups = numbers.len().div_ceil(8);
    varint(out, (groups as u64) << 1 | 1);
    let end = out.len() + groups * width as usize;
    pack(out, numbers.iter().map(|&number| u64::from(number)), width);
    out.resize(end, 0);
}

/// Numbers of `width` bits, from 1 to 64, the lowest bits first; the last byte is filled up with zeros.
pub(super) fn pack(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, width: u32) {
    let (mut bits, mut held) = (0_u64, 0);
    for number in numbers {
        bits |= number << held;
        held += width;
        if held >= u64::BITS {
            out.extend_from_slice(&bits.to_le_bytes());
            held -= u64::BITS;
            bits = if held == 0 { 0 } else { number >> (width - held) };
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(8) as usize]);
}

pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
