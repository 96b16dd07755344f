//! `diff -u` with the algorithm of Go's and Python's `difflib`: it takes the longest run of equal lines, then does the
//! same on both sides of it. Other algorithms, such as those of the crate `similar`, give other results than a
//! recorded message of the real server.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

/// The number of lines of context.
const CONTEXT: usize = 3;
/// In texts of this many lines or more, a run does not start at a frequent line (more than one in a hundred).
const MANY: usize = 200;

/// A range of lines on both sides, equal or different.
struct Stretch {
    old: Range<usize>,
    new: Range<usize>,
    equal: bool,
}

/// Returns the unified diff of two texts.
pub(super) fn diff(old: &[String], new: &[String]) -> String {
    let mut out = String::new();
    for hunk in hunks(stretches(old, new)) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let (of_old, of_new) = (first.old.start..last.old.end, first.new.start..last.new.end);
        // Writing to a string does not fail.
        let _ = writeln!(out, "@@ -{} +{} @@", place(&of_old), place(&of_new));
        for stretch in &hunk {
            if stretch.equal {
                write_lines(&mut out, ' ', &old[stretch.old.clone()]);
            } else {
                write_lines(&mut out, '-', &old[stretch.old.clone()]);
                write_lines(&mut out, '+', &new[stretch.new.clone()]);
            }
        }
    }
    out
}

fn write_lines(out: &mut String, mark: char, lines: &[String]) {
    for line in lines {
        out.push(mark);
        out.push_str(line);
    }
}

/// Returns a line range for a hunk header: the first line, and the number of lines unless it is 1.
fn place(lines: &Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        count => format!("{},{count}", lines.start + 1),
    }
}

/// Groups differences with their context. Adjacent ones share a hunk.
fn hunks(stretches: Vec<Stretch>) -> Vec<Vec<Stretch>> {
    let mut hunks = Vec::new();
    let mut hunk: Vec<Stretch> = Vec::new();
    let mut differs = false;
    let count = stretches.len();
    for (at, stretch) in stretches.into_iter().enumerate() {
        if !stretch.equal {
            differs = true;
            hunk.push(stretch);
            continue;
        }
        let length = stretch.old.len();
        let part = |range: Range<usize>| Stretch {
            old: stretch.old.start + range.start..stretch.old.start + range.end,
            new: stretch.new.start + range.start..stretch.new.start + range.end,
            equal: true,
        };
        let (head, tail) = (0..length.min(CONTEXT), length.saturating_sub(CONTEXT)..length);
        if at == 0 {
            hunk.push(part(tail));
        } else if at + 1 == count {
            hunk.push(part(head));
        } else if length > 2 * CONTEXT {
            hunk.push(part(head));
            hunks.push(std::mem::replace(&mut hunk, vec![part(tail)]));
        } else {
            hunk.push(part(0..length));
        }
    }
    if differs {
        hunks.push(hunk);
    }
    hunks
}

fn stretches(old: &[String], new: &[String]) -> Vec<Stretch> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if new.len() >= MANY {
        places.retain(|_, at| at.len() <= new.len() / 100 + 1);
    }
    let mut runs = Vec::new();
    find_runs(&places, (old, 0..old.len()), (new, 0..new.len()), &mut runs);
    runs.push((old.len(), new.len(), 0));
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut at_old, mut at_new) = (0, 0);
    for (start_old, start_new, length) in runs {
        if at_old < start_old || at_new < start_new {
            stretches.push(Stretch { old: at_old..start_old, new: at_new..start_new, equal: false });
        }
        (at_old, at_new) = (start_old + length, start_new + length);
        match stretches.last_mut() {
            // Adjacent runs are merged.
            Some(last) if last.equal => (last.old.end, last.new.end) = (at_old, at_new),
            _ if length > 0 => {
                stretches.push(Stretch { old: start_old..at_old, new: start_new..at_new, equal: true });
            }
            _ => {}
        }
    }
    stretches
}

/// Returns the runs of equal lines in these ranges, in order, each with its start and its length.
fn find_runs(
    places: &HashMap<&str, Vec<usize>>,
    (old, in_old): (&[String], Range<usize>),
    (new, in_new): (&[String], Range<usize>),
    runs: &mut Vec<(usize, usize, usize)>,
) {
    let (mut start_old, mut start_new, mut length) = (in_old.start, in_new.start, 0);
    // The length of the run that ends at each new line and the current old line.
    let mut ending: HashMap<usize, usize> = HashMap::new();
    for at_old in in_old.clone() {
        let mut next = HashMap::new();
        for &at_new in places.get(old[at_old].as_str()).into_iter().flatten().filter(|at| in_new.contains(at))
        {
            let run = at_new.checked_sub(1).and_then(|before| ending.get(&before)).map_or(1, |run| run + 1);
            next.insert(at_new, run);
            if run > length {
                (start_old, start_new, length) = (at_old + 1 - run, at_new + 1 - run, run);
            }
        }
        ending = next;
    }
    while start_old > in_old.start && start_new > in_new.start && old[start_old - 1] == new[start_new - 1] {
        (start_old, start_new, length) = (start_old - 1, start_new - 1, length + 1);
    }
    let (mut end_old, mut end_new) = (start_old + length, start_new + length);
    while end_old < in_old.end && end_new < in_new.end && old[end_old] == new[end_new] {
        (end_old, end_new, length) = (end_old + 1, end_new + 1, length + 1);
    }
    if length == 0 {
        return;
    }
    find_runs(places, (old, in_old.start..start_old), (new, in_new.start..start_new), runs);
    runs.push((start_old, start_new, length));
    find_runs(places, (old, end_old..in_old.end), (new, end_new..in_new.end), runs);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards the format against the output of Python's `difflib.unified_diff`.
    #[test]
    fn the_format_is_that_of_difflib() {
        let lines = |text: &str| text.chars().map(|letter| format!("{letter}\n")).collect::<Vec<_>>();
        let cases = [
            ("abc", "abc", ""),
            ("", "a", "@@ -0,0 +1 @@|+a|"),
            ("a", "", "@@ -1 +0,0 @@|-a|"),
            ("abcdefghijk", "abcdeXghijk", "@@ -3,7 +3,7 @@| c| d| e|-f|+X| g| h| i|"),
            ("abcdefghijklm", "Xbcdefghijklm", "@@ -1,4 +1,4 @@|-a|+X| b| c| d|"),
            ("a12345678b", "c12345678d", "@@ -1,4 +1,4 @@|-a|+c| 1| 2| 3|@@ -7,4 +7,4 @@| 6| 7| 8|-b|+d|"),
            ("a123456b", "c123456d", "@@ -1,8 +1,8 @@|-a|+c| 1| 2| 3| 4| 5| 6|-b|+d|"),
            ("qabxcd", "abycdf", "@@ -1,6 +1,6 @@|-q| a| b|-x|+y| c| d|+f|"),
        ];
        for (old, new, wanted) in cases {
            assert_eq!(diff(&lines(old), &lines(new)).replace('\n', "|"), wanted, "{old} {new}");
        }
    }
}
