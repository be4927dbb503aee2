//! What somebody may have meant: the nearest name by edit distance.

/// The candidate nearest to `word`, if it is near enough to be worth suggesting, or else one that starts with it.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes half a page, and the distance takes quadratic time.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let near = candidates
        .iter()
        .map(|candidate| (distance(&lower, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min();
    let longer = || candidates.iter().find(|candidate| lower.len() >= 3 && candidate.starts_with(&lower));
    near.map(|(_, candidate)| candidate).or_else(|| longer().copied())
}

/// The optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_insertions_deletions_substitutions_and_swaps() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("rows_max", "rows_max"), 0);
        assert_eq!(distance("row_max", "rows_max"), 1);
        assert_eq!(distance("smaple", "sample"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_name_that_is_far_from_all_suggests_nothing() {
        assert_eq!(nearest("colour", ["grpc", "http"]), None);
        assert_eq!(nearest("gprc", ["grpc", "http"]), Some("grpc"));
        assert_eq!(nearest("rows", ["workers", "rows_max"]), Some("rows_max"));
        assert_eq!(nearest("GRPC", ["grpc", "http"]), Some("grpc"));
        assert_eq!(nearest(&"g".repeat(100_000), ["grpc"]), None);
    }
}
