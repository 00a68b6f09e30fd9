//! Reading a plan's file: whole, of a format and a Windlass that this one understands, and as it was made.

use semver::Version;
use serde::Deserialize;

use super::{FORMAT, Plan, RunId};
use crate::decide::words::{Unfit, unfit};

/// This Windlass.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// Why a plan file is not a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// It ends too early.
    #[error("it ends in the middle, in line {line}: it was cut off")]
    CutOff {
        /// From 1.
        line: usize,
    },
    /// Not JSON, or not a plan's.
    #[error("it is not a plan: {0}")]
    Json(serde_json::Error),
    /// Another format.
    #[error(
        "it has plan format {format} and was made by windlass {windlass}; this is windlass {OURS}, which reads format {FORMAT}"
    )]
    Format {
        /// Its format.
        format: u64,
        /// The Windlass that made it; `of an unknown version` when it does not say.
        windlass: String,
    },
    /// A newer Windlass made it, and may have meant by it what this one does not know.
    #[error("it was made by windlass {windlass}, which is newer than this {OURS}")]
    Newer {
        /// The Windlass that made it.
        windlass: String,
    },
    /// A plan in another shape than this Windlass writes.
    #[error("it was changed after it was made: {0}")]
    Shape(serde_json::Error),
    /// Edited by hand.
    #[error("its content does not match its id {id}: it was changed after it was made")]
    Edited {
        /// The id it claims.
        id: RunId,
    },
    /// An older Windlass made it, and sealed it in another way, or it was edited.
    #[error(
        "its content does not match its id {id}: it was changed after it was made, or windlass {windlass}, which made it, \
         writes plans otherwise than this {OURS}"
    )]
    Older {
        /// The id it claims.
        id: RunId,
        /// The Windlass that made it.
        windlass: String,
    },
    /// A lane that refers to no procedure.
    #[error("stage {0} refers to a procedure that is not there")]
    Procedure(String),
    /// A word that would reach a machine as something else than it is meant to be.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// What is looked at first, whatever else the file holds.
#[derive(Deserialize)]
struct Head {
    format: u64,
    #[serde(default)]
    windlass: Option<String>,
}

impl Plan {
    /// Reads a plan file: that it is whole, its format, its shape, and that nobody changed it.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let head: Head = serde_json::from_str(text).map_err(|error| not_json(error, text))?;
        if head.format != u64::from(FORMAT) {
            let windlass = head.windlass.unwrap_or_else(|| "of an unknown version".to_owned());
            return Err(PlanError::Format { format: head.format, windlass });
        }
        if let Some(windlass) = head.windlass.filter(|windlass| is_newer(windlass)) {
            return Err(PlanError::Newer { windlass });
        }
        let plan: Self = serde_json::from_str(text).map_err(PlanError::Shape)?;
        for stage in &plan.stages {
            if stage.waves.iter().flat_map(|wave| &wave.lanes).any(|lane| lane.procedure >= plan.procedures.len()) {
                return Err(PlanError::Procedure(stage.name.clone()));
            }
        }
        if plan.clone().sealed().id != plan.id {
            let Self { id, windlass, .. } = plan;
            return Err(if windlass == OURS { PlanError::Edited { id } } else { PlanError::Older { id, windlass } });
        }
        unfit(&plan)?;
        Ok(plan)
    }
}

fn not_json(error: serde_json::Error, text: &str) -> PlanError {
    if text.trim().is_empty() {
        PlanError::Empty
    } else if error.is_eof() {
        PlanError::CutOff { line: error.line() }
    } else {
        PlanError::Json(error)
    }
}

/// Whether a Windlass of this version is newer than this one. What is no version was never one of a Windlass: the seal tells.
fn is_newer(windlass: &str) -> bool {
    let version = |text| Version::parse(text).ok();
    version(windlass).zip(version(OURS)).is_some_and(|(theirs, ours)| theirs > ours)
}
