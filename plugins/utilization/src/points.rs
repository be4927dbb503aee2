//! Points of a series, packed: about ten bytes each, two where neither the interval nor the value changes.

use std::collections::BTreeMap;

/// Points in the order of time, one for each time.
///
/// Times are stored as the change of their distance and values as what differs in their bits, both in as many groups of
/// 7 bits as they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed(Vec<u8>);

impl Packed {
    /// Packs points in the order of time.
    pub(crate) fn new(points: &[(i64, f64)]) -> Self {
        let mut packed = Self(Vec::with_capacity(points.len() * 10));
        let mut end = End::default();
        points.iter().for_each(|point| end.write(*point, &mut packed.0));
        packed
    }

    /// Adds points where all come after those that are there, as mostly they do; tells whether it did.
    fn append(&mut self, new: &[(i64, f64)]) -> bool {
        let mut end = End::default();
        let mut rest = self.0.as_slice();
        while end.read(&mut rest).is_some() {}
        let later = self.0.is_empty() || new.first().is_some_and(|first| first.0 > end.time);
        if !later || new.is_empty() || new.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return false;
        }
        new.iter().for_each(|point| end.write(*point, &mut self.0));
        true
    }

    /// The first point.
    pub(crate) fn first(&self) -> Option<(i64, f64)> {
        let mut rest = self.0.as_slice();
        let (change, bits) = (read(&mut rest)?, read(&mut rest)?);
        Some(((change >> 1) as i64 ^ -((change & 1) as i64), f64::from_bits(bits.swap_bytes())))
    }

    /// The points; as far as they can be read.
    pub(crate) fn points(&self) -> Vec<(i64, f64)> {
        let mut rest = self.0.as_slice();
        let mut points = Vec::with_capacity(rest.len() / 8);
        let mut end = End::default();
        points.extend(std::iter::from_fn(|| end.read(&mut rest)));
        points
    }

    /// Adds points in any order; whether that changed anything. Of two values for one time the greater stays, so that
    /// it does not matter which came first.
    pub(crate) fn merge(&mut self, new: &[(i64, f64)]) -> bool {
        if self.append(new) {
            return true;
        }
        let known = self.points();
        let mut all: Vec<(i64, f64)> = known.iter().chain(new).copied().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        all.dedup_by_key(|point| point.0);
        if all == known {
            return false;
        }
        *self = Self::new(&all);
        true
    }
}

/// The last point, on which the next one is built: its time, how far that is from the one before, the bits of its value.
#[derive(Default)]
struct End {
    time: i64,
    distance: i64,
    bits: u64,
}

impl End {
    fn write(&mut self, (time, value): (i64, f64), bytes: &mut Vec<u8>) {
        let distance = time.wrapping_sub(self.time);
        let change = distance.wrapping_sub(self.distance);
        write(bytes, (change << 1 ^ change >> 63) as u64);
        // Numbers that are near each other, or short, differ in their upper bits: turned round they are small.
        write(bytes, (value.to_bits() ^ self.bits).swap_bytes());
        *self = Self { time, distance, bits: value.to_bits() };
    }

    fn read(&mut self, rest: &mut &[u8]) -> Option<(i64, f64)> {
        let (change, differing) = (read(rest)?, read(rest)?);
        self.distance = self.distance.wrapping_add((change >> 1) as i64 ^ -((change & 1) as i64));
        self.time = self.time.wrapping_add(self.distance);
        self.bits ^= differing.swap_bytes();
        Some((self.time, f64::from_bits(self.bits)))
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The points of a block of time, by the key of their series, as they lie in the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block(pub(crate) BTreeMap<String, Packed>);

impl Block {
    /// Each series as its key and its points, the length before each.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.iter().map(|(key, packed)| key.len() + packed.0.len() + 4).sum());
        for (key, packed) in &self.0 {
            for piece in [key.as_bytes(), packed.0.as_slice()] {
                write(&mut bytes, piece.len() as u64);
                bytes.extend_from_slice(piece);
            }
        }
        bytes
    }

    /// The block; none if the bytes are of none.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut block = Self::default();
        while !bytes.is_empty() {
            let mut piece = || {
                let length = usize::try_from(read(&mut bytes)?).ok()?;
                let (piece, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Some(piece.to_vec())
            };
            let key = String::from_utf8(piece()?).ok()?;
            block.0.insert(key, Packed(piece()?));
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn samples() -> Vec<(i64, f64)> {
        let value =
            |number: i64| [0.1, 0.8, 0.8, 1e300, 0.0, 17_179_869_184.0, -0.0, f64::MIN_POSITIVE][number as usize % 8];
        (0..50).map(|number| (1_772_409_600 * S + number * 10 * S + number * number % 7, value(number))).collect()
    }

    #[test]
    fn points_are_read_back_bit_by_bit() {
        let points = [samples(), vec![(i64::MIN, 1.0), (0, 2.0), (i64::MAX, f64::MAX)]];
        for points in points {
            let block =
                Block(BTreeMap::from([("a".to_owned(), Packed::new(&points)), ("b".to_owned(), Packed::default())]));
            let read = Block::from_bytes(&block.to_bytes()).expect("a block");
            assert_eq!(read, block);
            let read = &read.0["a"];
            let bits =
                |points: &[(i64, f64)]| points.iter().map(|(time, value)| (*time, value.to_bits())).collect::<Vec<_>>();
            assert_eq!(bits(&read.points()), bits(&points));
            assert_eq!(read.first(), points.first().copied());
        }
    }

    #[test]
    fn regular_points_of_one_value_take_two_bytes() {
        let points: Vec<_> = (0..100).map(|number| (number * 10 * S, 0.25)).collect();
        assert!(Packed::new(&points).0.len() < 220, "{}", Packed::new(&points).0.len());
    }

    #[test]
    fn bytes_that_are_cut_short_are_no_block() {
        let bytes = Block(BTreeMap::from([("a".to_owned(), Packed::new(&samples()))])).to_bytes();
        assert!((1..bytes.len()).all(|length| Block::from_bytes(&bytes[..length]).is_none()));
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let points = samples();
        let mut packed = Packed::default();
        assert!(points.iter().rev().all(|point| packed.merge(&[*point])));
        assert!(!packed.merge(&points));
        assert_eq!(packed, Packed::new(&points));
    }

    #[test]
    fn of_two_values_for_one_time_the_greater_stays() {
        for order in [[1.0, 2.0], [2.0, 1.0]] {
            let mut packed = Packed::default();
            order.iter().for_each(|value| _ = packed.merge(&[(5, *value)]));
            assert_eq!(packed.points(), [(5, 2.0)]);
        }
    }
}
