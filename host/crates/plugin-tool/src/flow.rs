//! Lines that go through a plugin as they come.

use std::io::{BufRead, Read as _};
use std::sync::Arc;

use weir_plugin_runtime::{Kind, Stage, StageBatch};
use weir_record::limits::RECORD_BYTES_MAX;

use crate::error::ToolError;
use crate::records::Records;
use crate::trial::{Line, Trial, pass};

/// A plugin that is given lines until there are no more.
#[derive(Debug)]
pub struct Flow<'a> {
    trial: &'a Trial,
    params: Arc<str>,
    stage: Stage,
    waiting: Records,
    batch: StageBatch,
}

impl<'a> Flow<'a> {
    /// Opens the plugin. The records have these labels; `_topic` is the topic.
    pub fn open(
        trial: &'a Trial,
        params: Arc<str>,
        labels: Vec<(String, String)>,
    ) -> Result<Flow<'a>, ToolError> {
        let stage = trial.open(&params)?;
        let waiting = Records::default().with_labels(labels);
        Ok(Flow { trial, params, stage, waiting, batch: StageBatch::default() })
    }

    /// Reads lines to their end; `out` is told what comes of them, and says whether it wants more.
    pub fn run(
        mut self,
        mut lines: impl BufRead,
        mut out: impl FnMut(&[u8]) -> Result<bool, ToolError>,
    ) -> Result<(), ToolError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line without an end must not fill the memory: one byte more than a record may have tells enough.
            let read = lines.by_ref().take(RECORD_BYTES_MAX as u64 + 2).read_until(b'\n', &mut line);
            if read.map_err(ToolError::Input)? == 0 {
                break;
            }
            self.waiting.push(line.strip_suffix(b"\n").unwrap_or(&line))?;
            if self.waiting.is_batch() && !self.drain(&mut out)? {
                return Ok(());
            }
        }
        if !self.drain(&mut out)? || self.trial.plugin().kind() != Kind::Aggregate {
            return Ok(());
        }
        let partial = self.stage.partial()?;
        for Line { payload, .. } in self.trial.finish(&self.params, vec![partial])? {
            if !out(&payload)? {
                break;
            }
        }
        Ok(())
    }

    fn drain(&mut self, out: &mut impl FnMut(&[u8]) -> Result<bool, ToolError>) -> Result<bool, ToolError> {
        let Flow { trial, stage, waiting, batch, .. } = self;
        let order: Vec<usize> = (0..waiting.count()).collect();
        for some in waiting.cut(&order, usize::MAX) {
            waiting.fill(batch, some, &stage.hints().clone());
            let mut told = Ok(true);
            pass(stage, trial.plugin().kind(), batch, |_, payload| {
                if matches!(told, Ok(true)) {
                    told = out(payload);
                }
            })?;
            if !told? {
                return Ok(false);
            }
        }
        waiting.clear();
        Ok(true)
    }
}
