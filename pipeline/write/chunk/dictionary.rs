//! A chunk of values that repeat: a page with each of them once, in order, then their places there as runs and packed bits.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap};
use parquet::basic::Encoding;
use parquet::errors::Result;

use super::pages::{Bound, Content, Pages, chunk};
use super::texts::{LENGTH_BYTES, Part, first_bytes};
use super::{Column, Compressor, Encoded, PAGE_BYTES, PAGE_ROWS, Position, hybrid};

/// Of so many rows it is seen first whether values repeat.
pub(super) const SAMPLE: usize = 1_024;

/// Values that repeat: each once, in order, and the place among them of each row that has one.
pub(super) struct Repeating<T> {
    pub(super) values: Vec<T>,
    /// Empty where there is one value only.
    pub(super) places: Vec<u32>,
}

/// Encodes texts. None if they are too many or too long for a dictionary.
pub(super) fn encode(column: Column<'_>, parts: &[Part<'_>], compressor: &mut Compressor) -> Result<Option<Encoded>> {
    let valid = column.valid();
    let merge = parts.iter().all(Part::is_dictionary);
    let Some(repeating) = (if merge { merged(column, parts, &valid) } else { found(column, parts) }) else {
        return Ok(None);
    };
    let mut page = Vec::with_capacity(repeating.values.iter().map(|text| LENGTH_BYTES + text.len()).sum());
    for text in &repeating.values {
        page.extend_from_slice(&(text.len() as u32).to_le_bytes());
        page.extend_from_slice(text);
    }
    write(column, &valid, &repeating, &page, |least, greatest| (least, greatest), compressor).map(Some)
}

/// The dictionaries of the batches made one. None if the texts that rows have come to more than a page, or most rows have
/// texts of their own: the numbers of those are no shorter than they are.
fn merged<'a>(column: Column<'_>, parts: &[Part<'a>], valid: &[bool]) -> Option<Repeating<&'a [u8]>> {
    let mut used: Vec<Vec<bool>> = parts.iter().map(|part| vec![false; part.texts()]).collect();
    if column.are_all() {
        parts.iter().zip(&mut used).for_each(|(part, used)| part.mark(used));
    } else {
        let with_value = column.order.iter().enumerate().filter(|(at, _)| valid.get(*at).is_none_or(|valid| *valid));
        with_value.for_each(|(_, &(part, row))| used[part as usize][parts[part as usize].key(row)] = true);
    }
    let most = column.order.len().div_ceil(2);
    let marked = || parts.iter().zip(&used).flat_map(|(part, used)| part.marked(used));
    if used.iter().flatten().filter(|used| **used).count() > most && about_distinct(marked()) > most {
        return None;
    }
    // Several batches bring the same texts.
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    let (mut values, mut bytes) = (Vec::new(), 0);
    let mut number_of: Vec<Vec<u32>> = Vec::with_capacity(parts.len());
    for (part, used) in parts.iter().zip(&used) {
        let mut numbers = vec![0; used.len()];
        for (key, number) in numbers.iter_mut().enumerate().filter(|(key, _)| used[*key]) {
            let text = part.text(key);
            *number = *known.entry(text).or_insert_with(|| {
                values.push(text);
                bytes += LENGTH_BYTES + text.len();
                values.len() as u32 - 1
            });
        }
        if bytes > PAGE_BYTES {
            return None;
        }
        number_of.push(numbers);
    }
    if values.len() < 2 {
        return (!values.is_empty()).then_some(Repeating { values, places: Vec::new() });
    }
    let order = text_order(&values);
    let place_of = sort(&mut values, order);
    number_of.iter_mut().flatten().for_each(|number| *number = place_of.get(*number as usize).copied().unwrap_or(0));
    let place = |&(part, row): &Position| number_of[part as usize][parts[part as usize].key(row)];
    let places = match valid {
        [] => column.order.iter().map(place).collect(),
        _ => column.order.iter().zip(valid).filter(|(_, valid)| **valid).map(|(at, _)| place(at)).collect(),
    };
    Some(Repeating { values, places })
}

/// The texts of rows that have no dictionary, if they repeat.
fn found<'a>(column: Column<'_>, parts: &[Part<'a>]) -> Option<Repeating<&'a [u8]>> {
    if parts.iter().all(Part::is_empty)
        && column.order.iter().any(|&(part, row)| parts[part as usize].get(row).is_some())
    {
        return Some(Repeating { values: vec![b""], places: Vec::new() });
    }
    let texts = column.order.iter().filter_map(|&(part, row)| parts[part as usize].get(row));
    let some = column.order.iter().step_by(column.order.len().div_ceil(SAMPLE));
    if !repeat(some.filter_map(|&(part, row)| parts[part as usize].get(row))) {
        return None;
    }
    repeating(texts, |text| LENGTH_BYTES + text.len(), text_order)
}

/// About how many different texts there are, by how many of some bits they leave untouched.
fn about_distinct<'a>(texts: impl Iterator<Item = &'a [u8]>) -> usize {
    const BITS: usize = 1 << 18;
    let (mut touched, state) = (vec![0_u64; BITS / 64], DefaultHashBuilder::default());
    for text in texts {
        let bit = state.hash_one(text) as usize % BITS;
        touched[bit / 64] |= 1 << (bit % 64);
    }
    let untouched: u32 = touched.iter().map(|bits| bits.count_zeros()).sum();
    (-(BITS as f64) * (f64::from(untouched.max(1)) / BITS as f64).ln()) as usize
}

/// What texts are put in order by. They often begin alike, so that it is the bytes after that which decide.
fn text_order<'a>(texts: &[&'a [u8]]) -> impl Fn(&'a [u8]) -> (u64, &'a [u8]) + use<'a> {
    let alike = |one: &[u8], other: &[u8]| one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let shared =
        texts.iter().fold(texts.first().copied().unwrap_or_default(), |shared, text| &shared[..alike(shared, text)]);
    let shared = shared.len();
    move |text| (first_bytes(&text[shared..]), text)
}

/// Whether most of some values are like others of them.
pub(super) fn repeat<T: Hash + Eq>(some: impl Iterator<Item = T>) -> bool {
    let mut seen = 0;
    let distinct: hashbrown::HashSet<T> = some.inspect(|_| seen += 1).collect();
    distinct.len() == 1 || (seen > 0 && distinct.len() * 4 <= seen)
}

/// The values each once, and the places of all. None if they come to more than a page, or repeat less than they seemed to.
pub(super) fn repeating<T: Copy + Hash + Eq, K: Ord + Copy, O: Fn(T) -> K>(
    all: impl Iterator<Item = T>,
    bytes_of: impl Fn(T) -> usize,
    order_of: impl Fn(&[T]) -> O,
) -> Option<Repeating<T>> {
    let mut known: HashMap<T, u32> = HashMap::new();
    let (mut values, mut bytes, mut places): (Vec<T>, _, Vec<u32>) = (Vec::new(), 0, Vec::new());
    let mut last = None;
    for value in all {
        // Rows that follow each other often say the same.
        let place = match last {
            Some((last, place)) if last == value => place,
            _ => *known.entry(value).or_insert_with(|| {
                values.push(value);
                bytes += bytes_of(value);
                values.len() as u32 - 1
            }),
        };
        last = Some((value, place));
        places.push(place);
        if bytes > PAGE_BYTES {
            return None;
        }
    }
    if values.is_empty() || (values.len() > 1 && values.len() * 2 > places.len()) {
        return None;
    }
    let order = order_of(&values);
    let place_of = sort(&mut values, order);
    if values.len() == 1 {
        places.clear();
    }
    places.iter_mut().for_each(|place| *place = place_of[*place as usize]);
    Some(Repeating { values, places })
}

/// Puts values in order; where each has gone.
fn sort<T: Copy, K: Ord + Copy>(values: &mut [T], order: impl Fn(T) -> K) -> Vec<u32> {
    let mut sorted: Vec<(K, u32)> = values.iter().zip(0..).map(|(value, number)| (order(*value), number)).collect();
    sorted.sort_unstable();
    let old = values.to_vec();
    let mut place_of = vec![0; values.len()];
    for ((value, &(_, number)), place) in values.iter_mut().zip(&sorted).zip(0..) {
        *value = old[number as usize];
        place_of[number as usize] = place;
    }
    place_of
}

/// A chunk of values that repeat, which `page` has as PLAIN.
pub(super) fn write<T: Copy, B: Bound>(
    column: Column<'_>,
    valid: &[bool],
    repeating: &Repeating<T>,
    page: &[u8],
    bounds: impl Fn(T, T) -> (B, B),
    compressor: &mut Compressor,
) -> Result<Encoded> {
    let Repeating { values, places } = repeating;
    let (rows, one) = (column.order.len(), values.len() == 1);
    chunk(column.descr, compressor, |pages| {
        pages.dictionary(page, values.len(), true)?;
        let places = match one {
            true => alike(pages, rows, valid)?,
            false => different(pages, rows, valid, values.len(), places)?,
        };
        let bounds = |(least, greatest): (u32, u32)| bounds(values[least as usize], values[greatest as usize]);
        Ok(Content {
            encoding: Encoding::RLE_DICTIONARY,
            bounds: places.into_iter().map(|places| places.map(bounds)).collect(),
            bounded: column.bounded,
            distinct: Some(values.len() as u64),
        })
    })
}

/// The least and the greatest place of each page.
type Places = Vec<Option<(u32, u32)>>;

fn alike(pages: &mut Pages<'_, '_>, rows: usize, valid: &[bool]) -> Result<Places> {
    let nulls = valid.iter().filter(|valid| !**valid).count();
    let mut page = Vec::new();
    pages.levels(&mut page, rows, valid);
    // A width of 0 is allowed where there is one value only, and 1 is what every reader has seen.
    page.push(1);
    hybrid::run(&mut page, 0, 1, rows - nulls);
    pages.data(&page, rows, nulls, Encoding::RLE_DICTIONARY)?;
    Ok(vec![(nulls < rows).then_some((0, 0))])
}

fn different(
    pages: &mut Pages<'_, '_>,
    rows: usize,
    valid: &[bool],
    values: usize,
    mut places: &[u32],
) -> Result<Places> {
    let width = u32::BITS - (values as u32 - 1).leading_zeros();
    let (mut page, mut bounds) = (Vec::new(), Vec::new());
    for from in (0..rows).step_by(PAGE_ROWS) {
        let rows = PAGE_ROWS.min(rows - from);
        let valid = valid.get(from..from + rows).unwrap_or_default();
        let nulls = valid.iter().filter(|valid| !**valid).count();
        let (here, rest) = places.split_at(rows - nulls);
        places = rest;
        pages.levels(&mut page, rows, valid);
        page.push(width as u8);
        hybrid::encode(&mut page, here, width);
        pages.data(&page, rows, nulls, Encoding::RLE_DICTIONARY)?;
        bounds.push(here.iter().min().copied().zip(here.iter().max().copied()));
    }
    Ok(bounds)
}
