//! Says on stderr that the disk or the store is in trouble, and that it is over.

use std::convert::Infallible;
use std::time::{Duration, Instant};
use weir::Error;

/// How often to look.
const PAUSE: Duration = Duration::from_millis(250);

/// Trouble that comes back within so long was not over.
const OVER: Duration = Duration::from_secs(10);

/// Trouble that goes on is told again after this long, if there is something else to tell.
const AGAIN: Duration = Duration::from_secs(600);

/// Looks for trouble and tells of it, for as long as it is polled.
pub(crate) async fn tell(trouble: impl Fn() -> Option<Error>) -> Infallible {
    let (start, mut told) = (Instant::now(), Told::default());
    loop {
        if let Some(line) = told.line(trouble().map(|error| error.to_string()), start.elapsed()) {
            eprintln!("{line}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What was told. Times are since some moment.
#[derive(Default)]
struct Told {
    /// What was said last, and when; none if nothing is wrong.
    said: Option<(String, Duration)>,
    began: Duration,
    /// When there was trouble last.
    seen: Duration,
}

impl Told {
    /// The line to print, if there is one.
    fn line(&mut self, trouble: Option<String>, now: Duration) -> Option<String> {
        let Some(trouble) = trouble else {
            if self.said.is_none() || now < self.seen + OVER {
                return None;
            }
            self.said = None;
            let lasted = (self.seen - self.began).as_secs();
            return Some(format!("the trouble is over, after {lasted} s; weir goes on"));
        };
        self.seen = now;
        match &self.said {
            None => self.began = now,
            Some((said, at)) if *said == trouble || now < *at + AGAIN => return None,
            Some(_) => {}
        }
        let line = format!("warning: {trouble}");
        self.said = Some((trouble, now));
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed at each of these seconds.
    fn lines(steps: &[(u64, Option<&str>)]) -> Vec<(u64, String)> {
        let mut told = Told::default();
        let step = |&(at, trouble): &(u64, Option<&str>)| {
            told.line(trouble.map(str::to_owned), Duration::from_secs(at)).map(|line| (at, line))
        };
        steps.iter().filter_map(step).collect()
    }

    fn texts(lines: &[(u64, String)]) -> Vec<(u64, &str)> {
        lines.iter().map(|(at, line)| (*at, line.as_str())).collect()
    }

    #[test]
    fn trouble_is_told_once_when_it_begins_and_when_it_is_over() {
        let steps = [(0, None), (5, Some("full")), (6, Some("full")), (300, Some("full")), (301, None), (311, None)];
        let told = lines(&steps);
        let over = "the trouble is over, after 295 s; weir goes on";
        assert_eq!(texts(&told), [(5, "warning: full"), (311, over)]);
    }

    #[test]
    fn trouble_that_comes_and_goes_is_told_once() {
        let steps: Vec<_> = (0..100).map(|at| (at, (at % 5 < 2).then_some("full"))).collect();
        assert_eq!(texts(&lines(&steps)), [(0, "warning: full")]);
    }

    #[test]
    fn other_trouble_is_told_too_at_most_every_ten_minutes() {
        let steps: Vec<_> = (0..1300).map(|at| (at, Some(if at % 2 == 0 { "one" } else { "other" }))).collect();
        assert_eq!(texts(&lines(&steps)), [(0, "warning: one"), (601, "warning: other"), (1202, "warning: one")]);
    }
}
