//! The page that a job shows: what became of each recording, and what is known of those that failed.

use std::fmt::Write as _;

use super::Report;
use super::against::Against;
use crate::cmd::explain;
use crate::output;

/// GitHub refuses a summary of more than 1 MiB; a little is left for what others add.
pub(super) const MOST: usize = (1 << 20) - 4_096;

/// Rows of the table at the top.
const ROWS: usize = 500;

/// A page of at most `most` bytes. What does not fit is told shorter, or counted.
pub(super) fn page(reports: &[Report], most: usize) -> String {
    let failed = reports.iter().filter(|report| report.failed()).count();
    let unread = reports.iter().filter(|report| report.explained.is_err() || report.doubt.is_some()).count();
    let mut page = format!("# {}: {failed} failed", output::count(reports.len() as u64, "recording"));
    if unread > 0 {
        let _ = write!(page, ", {unread} could not be read to the end");
    }
    page.push_str("\n\n| recording | outcome | events | first failure |\n|---|---|---|---|\n");
    for report in reports.iter().take(ROWS) {
        let _ = writeln!(page, "{}", row(report));
    }
    if reports.len() > ROWS {
        let _ = writeln!(page, "\nand {} more", reports.len() - ROWS);
    }
    if page.len() > most {
        // There is hardly any room: the number is what matters.
        let short = format!("{}: {failed} failed\n", output::count(reports.len() as u64, "recording"));
        return if short.len() <= most { short } else { String::new() };
    }
    let mut left_out = 0;
    for report in reports.iter().filter(|report| report.failed()) {
        // The line that counts what is left out must fit too.
        let room = most.saturating_sub(page.len() + 200);
        let shorter = report.explained.as_ref().ok().into_iter().chain(report.brief.as_ref());
        let against = report.against.as_ref().map(Against::markdown).unwrap_or_default();
        let fitting = shorter
            .map(|it| details(report, &format!("{against}{}", explain::markdown(it))))
            .find(|details| details.len() <= room);
        match fitting {
            Some(details) => page.push_str(&details),
            None => left_out += 1,
        }
    }
    if left_out > 0 {
        let _ = writeln!(
            page,
            "\n{} left out: a summary may have 1 MiB. `rig explain` tells of them.",
            output::count(left_out, "failed recording")
        );
    }
    page
}

fn details(report: &Report, text: &str) -> String {
    format!(
        "\n<details open><summary>{}</summary>\n\n{}\n\n</details>\n",
        html(&report.name),
        text.trim_end()
    )
}

fn row(report: &Report) -> String {
    let name = cell(&report.name);
    match &report.explained {
        Err(error) => format!("| {name} | cannot be read | | {} |", cell(error)),
        Ok(it) => {
            // What was not read to its end, or not to the end of the run, is not green.
            let mark = match (it.is_failure(), it.whole, it.outcome.as_str()) {
                (true, ..) => "❌",
                (false, true, "passed") => "✅",
                (false, true, _) => "➖",
                (false, false, _) => "⚠️",
            };
            let mut first = it.first_failure.as_ref().map_or_else(String::new, |first| {
                let services = first.services.join(", ");
                cell(&format!("{} at seq {} {services}", first.type_name, first.seq))
            });
            if let Some(doubt) = &report.doubt {
                let _ = write!(first, "{}{}", if first.is_empty() { "" } else { "; " }, cell(doubt));
            }
            format!("| {name} | {mark} {} | {} | {first} |", cell(&it.outcome), it.events)
        }
    }
}

/// Foreign text in a cell of a table: nothing of it is markup.
fn cell(text: &str) -> String {
    html(&output::short(&output::plain(text), 200)).replace('|', "&#124;").replace(['\n', '\r'], " ")
}

/// Foreign text in HTML and Markdown.
pub(super) fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in output::plain(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '*' | '_' | '`' | '[' | ']' | '\\' | '@' | '#' | '~' => {
                let _ = write!(safe, "&#{};", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}
