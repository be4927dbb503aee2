//! Parquet's hybrid of runs and packed bits: eight or more equal numbers are a run, others are packed in groups of eight.

/// Numbers of `width` bits, from 1 to 32.
pub(super) fn encode(out: &mut Vec<u8>, numbers: &[u32], width: u32) {
    let (mut packed, mut at) = (0, 0);
    while at < numbers.len() {
        let rest = &numbers[at..];
        let equal = rest.iter().take_while(|&&number| number == rest[0]).count();
        if equal >= 8 {
            pack(out, &numbers[packed..at], width);
            run(out, rest[0], width, equal);
            at += equal;
            packed = at;
        } else {
            // Groups of packed numbers are whole, except for the last.
            at += 8.min(rest.len());
        }
    }
    pack(out, &numbers[packed..], width);
}

/// The same number so many times.
pub(super) fn run(out: &mut Vec<u8>, number: u32, width: u32, times: usize) {
    varint(out, (times as u64) << 1);
    out.extend_from_slice(&number.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Groups of eight, the last one filled up with zeros; the lowest bits come first.
fn pack(out: &mut Vec<u8>, numbers: &[u32], width: u32) {
    if numbers.is_empty() {
        return;
    }
    varint(out, (numbers.len().div_ceil(8) as u64) << 1 | 1);
    for group in numbers.chunks(8) {
        let (mut bits, mut held) = (0_u64, 0);
        for number in group.iter().copied().chain(std::iter::repeat(0)).take(8) {
            bits |= u64::from(number) << held;
            held += width;
            while held >= 8 {
                out.push(bits as u8);
                bits >>= 8;
                held -= 8;
            }
        }
    }
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
