//! Findings as text: each on its own line, the gravest first, all of them.

use std::fmt::Write as _;

use crate::decide::finding::{Finding, Severity};

/// Findings, one a line (long ones folded by the terminal), with the rule that found them.
pub fn findings(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.severity {
            Severity::Unreachable => "unreachable",
            Severity::Refusal => "refused",
            Severity::Warning => "warning",
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {mark:<11}  {:<width$}  {} [{}]", finding.subject, finding.detail, finding.rule);
    }
    crate::text::printable(&text)
}
