//! Merges the texts of several registries.
//!
//! Each cluster has a registry of its own, with its name as a label, so that clusters can be added. A scraper wants each
//! metric once, with the series of all clusters below one description.

use std::collections::HashMap;

/// The start of the description of a metric.
const HELP: &str = "# HELP ";

/// The end of a text in `OpenMetrics`.
const EOF: &str = "# EOF\n";

/// Returns one text with all metrics of these texts. `ends` says whether it has the mark of the end.
pub(super) fn merge(texts: &[String], ends: bool) -> String {
    let mut merged = Vec::<String>::new();
    let mut places = HashMap::new();
    for text in texts {
        let text = text.strip_suffix(EOF).unwrap_or(text);
        for metric in metrics(text) {
            let end = metric.find('\n').map_or(metric.len(), |end| end + 1);
            // The first line has the name and the description, which are the same in each text.
            let place = *places.entry(&metric[..end]).or_insert_with(|| {
                merged.push(String::new());
                merged.len() - 1
            });
            let Some(all) = merged.get_mut(place) else { continue };
            if all.is_empty() {
                all.push_str(metric);
            } else {
                all.extend(metric.split_inclusive('\n').filter(|line| !line.starts_with('#')));
            }
        }
    }
    let mut text = merged.concat();
    if ends {
        text.push_str(EOF);
    }
    text
}

/// Splits a text before each description.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next =
            rest.match_indices(HELP).map(|(at, _)| at).find(|at| *at > 0 && rest[..*at].ends_with('\n'));
        let (metric, after) = rest.split_at(next.unwrap_or(rest.len()));
        rest = after;
        Some(metric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that each metric is described once, with the series of all texts in their order.
    #[test]
    fn each_metric_is_described_once() {
        let of = |cluster: &str, more: &str| {
            format!(
                "# HELP a A.\n# TYPE a gauge\na{{cluster=\"{cluster}\"}} 1\n# HELP empty E.\n# TYPE empty counter\n\
                 # HELP b_seconds B.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\n{more}# EOF\n"
            )
        };
        let daemon = "# HELP up U.\n# TYPE up gauge\nup{text=\"# HELP x\"} 1\n# EOF\n".to_owned();
        let merged = merge(&[daemon.clone(), of("x", "b_seconds 2\n"), of("y", "b_seconds 3\n")], true);
        assert_eq!(
            merged,
            "# HELP up U.\n# TYPE up gauge\nup{text=\"# HELP x\"} 1\n\
             # HELP a A.\n# TYPE a gauge\na{cluster=\"x\"} 1\na{cluster=\"y\"} 1\n\
             # HELP empty E.\n# TYPE empty counter\n\
             # HELP b_seconds B.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 2\nb_seconds 3\n# EOF\n"
        );
        assert_eq!(merge(std::slice::from_ref(&daemon), false), daemon.trim_end_matches("# EOF\n"));
        assert_eq!(merge(&[], true), "# EOF\n");
    }
}
