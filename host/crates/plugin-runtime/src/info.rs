//! Who a plugin is, as its `describe` says.

use weir_record::limits::NAME_BYTES_MAX;

use crate::error::LoadFault;
use crate::schema::Schema;
use crate::wit::v1::weir::plugin::types as wit;

/// Things one plugin may want.
const NEEDS_MAX: usize = 64;

/// One thing a plugin wants and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Interface without version: `files`, `stdin`.
    pub capability: String,
    /// The plugin's own name for it; empty for a capability of which there is one.
    pub name: String,
    /// Half a sentence.
    pub reason: String,
    /// Without the grant the plugin does not start.
    pub required: bool,
}

/// Who a plugin is. No field has control characters.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// As the config names it.
    pub name: String,
    /// Semantic version of the plugin itself.
    pub version: String,
    /// One line.
    pub summary: String,
    /// Schema of its settings.
    pub schema: Schema,
    /// What it wants.
    pub needs: Vec<Need>,
}

impl Info {
    pub(crate) fn new(info: wit::Info) -> Result<Info, LoadFault> {
        let wit::Info { name, version, summary, config_schema, needs } = info;
        text("name", &name, NAME_BYTES_MAX)?;
        text("version", &version, NAME_BYTES_MAX)?;
        text("summary", &summary, 1024)?;
        let fault = |field, reason| LoadFault::Info { field, reason };
        if name.is_empty() {
            return Err(fault("name", "it is empty".into()));
        }
        let schema = Schema::parse(&config_schema).map_err(|reason| fault("config-schema", reason))?;
        if needs.len() > NEEDS_MAX {
            return Err(fault("needs", format!("{} of them, at most {NEEDS_MAX}", needs.len())));
        }
        let needs = needs.into_iter().map(need).collect::<Result<_, _>>()?;
        Ok(Info { name, version, summary, schema, needs })
    }
}

fn need(need: wit::Need) -> Result<Need, LoadFault> {
    let wit::Need { capability, name, reason, required } = need;
    text("need", &capability, NAME_BYTES_MAX)?;
    text("need", &name, NAME_BYTES_MAX)?;
    text("need", &reason, 1024)?;
    Ok(Need { capability, name, reason, required })
}

fn text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), LoadFault> {
    let reason = if text.len() > bytes_max {
        format!("{} bytes, at most {bytes_max}", text.len())
    } else if text.chars().any(char::is_control) {
        format!("control characters in {text:?}")
    } else {
        return Ok(());
    };
    Err(LoadFault::Info { field, reason })
}
