//! `weir plugin keygen` and `weir plugin sign`: who vouches for a component.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;
use weir_node::{Digest, SigningKey, signature_path};

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::load::told;

const KEYGEN_EXAMPLES: &str = "\
What is printed goes into policy.keys of the nodes that are to run what the key has signed. Whoever has the file can
have them run anything; keep it where components are released, and nowhere else.

Examples:
  weir plugin keygen ~/.weir-signing-key";

const SIGN_EXAMPLES: &str = "\
The signature lies beside the component, as FILE.sig, and goes with it to nodes that ask for it.

Examples:
  weir plugin sign --key ~/.weir-signing-key ./orders-only.wasm";

/// Make a key that signs plugins, and print its public half
#[derive(Debug, Args)]
#[command(after_help = KEYGEN_EXAMPLES)]
pub(crate) struct Keygen {
    /// The file to make; it must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Sign plugins, so that nodes whose policy has the key run them
#[derive(Debug, Args)]
#[command(after_help = SIGN_EXAMPLES)]
pub(crate) struct Sign {
    /// A file that `weir plugin keygen` made
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Component files
    #[arg(value_name = "FILE.wasm", required = true)]
    components: Vec<PathBuf>,
}

pub(crate) fn keygen(args: &Keygen) -> Result<Exit, Failure> {
    let failed = |why: String| Failure::failed(format!("make {}: {why}", args.file.display()));
    let key = SigningKey::generate().map_err(|error| failed(error.to_string()))?;
    // Never over an old key: what it has signed would be signed by nobody.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.file);
    let mut file = made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => failed("it is there already; name a new file".to_owned()),
        _ => failed(told(&error)),
    })?;
    let text = format!("{}\n", key.to_secret_text());
    file.write_all(text.as_bytes()).map_err(|error| failed(told(&error)))?;
    wrote(writeln!(std::io::stdout(), "{}", key.public()))?;
    Ok(Exit::Ok)
}

pub(crate) fn run(args: &Sign) -> Result<Exit, Failure> {
    let read = |path: &PathBuf| {
        std::fs::read(path)
            .map_err(|error| Failure::failed(format!("read {}: {}", path.display(), told(&error))))
    };
    let text = String::from_utf8_lossy(&read(&args.key)?).into_owned();
    let key: SigningKey =
        text.parse().map_err(|error| Failure::failed(format!("{}: {error}", args.key.display())))?;
    for component in &args.components {
        let digest = Digest::of(&read(component)?);
        let path = signature_path(component);
        std::fs::write(&path, format!("{}\n", key.sign(&digest)))
            .map_err(|error| Failure::failed(format!("write {}: {}", path.display(), told(&error))))?;
        wrote(writeln!(
            std::io::stdout(),
            "{}: sha256:{digest}, signed by {}",
            path.display(),
            key.public()
        ))?;
    }
    Ok(Exit::Ok)
}
