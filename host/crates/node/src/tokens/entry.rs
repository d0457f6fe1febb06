//! A new token: its secret, and what of it goes into the file.

use std::fmt::Write as _;

use rustix::rand::{GetRandomFlags, getrandom};
use weir_api::access::{Secret, Token};
use weir_api::format::rfc3339_ms;

/// Draws a secret of the system's random bits. The error says why there are none.
pub fn draw_secret() -> Result<Secret, String> {
    let mut bits = [0; 32];
    let mut filled = 0;
    while filled < bits.len() {
        match getrandom(&mut bits[filled..], GetRandomFlags::empty()) {
            Ok(bytes) => filled += bytes,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("draw random bits: {error}")),
        }
    }
    Ok(Secret::of_random(bits))
}

/// A token as the file has it: a table that goes to its end.
pub fn entry_of(token: &Token) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |words: Vec<&str>| words.into_iter().map(quoted).collect::<Vec<_>>().join(", ");
    let mut text = String::from("[[token]]\n");
    let sha256 = token.sha256.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let scopes = list(token.scopes.iter().map(|scope| scope.name()).collect());
    let _ = writeln!(text, "name    = {}\nsha256  = \"{sha256}\"\nscopes  = [{scopes}]", quoted(&token.name));
    if token.topics.is_restricted() {
        let _ = writeln!(text, "topics  = [{}]", list(token.topics.patterns().collect()));
    }
    if let Some(expires_ms) = token.expires_ms {
        let _ = writeln!(text, "expires = {}", rfc3339_ms(expires_ms).replace(".000Z", "Z"));
    }
    text
}
