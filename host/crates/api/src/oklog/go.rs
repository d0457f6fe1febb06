//! Durations as Go writes them: `566.982µs`, `1.5s`, `2h30m0s`.

use std::time::Duration;

/// A duration as text: the unit fits the size, the fraction has no zeros at its end.
pub(crate) fn format_duration(duration: Duration) -> String {
    let ns = duration.as_nanos();
    match ns {
        0 => "0s".into(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(ns, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(ns, 6)),
        _ => {
            let seconds = format!("{}s", decimal(ns % 60_000_000_000, 9));
            match (duration.as_secs() / 3600, duration.as_secs() / 60 % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// `ns` with the point `digits` places from the right.
fn decimal(ns: u128, digits: u32) -> String {
    let unit = 10_u128.pow(digits);
    let (whole, fraction) = (ns / unit, ns % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0width$}", width = digits as usize);
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// A duration of its text, `None` when it is none or lies beyond what a duration holds. A sign is read; a
/// negative duration is given as zero, for nobody here can use one.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Some(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return None;
    }
    let mut rest = unsigned;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let unit_bytes = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_bytes);
        let (_, unit_s) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * unit_s;
        rest = behind;
    }
    if text.starts_with('-') { Some(Duration::ZERO) } else { Duration::try_from_secs_f64(seconds).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_as_go_prints_them() {
        for (ns, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_000, "1µs"),
            (566_982, "566.982µs"),
            (1_500_000, "1.5ms"),
            (10_000_000, "10ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (59_999_999_999, "59.999999999s"),
            (60_000_000_000, "1m0s"),
            (3_723_000_000_001, "1h2m3.000000001s"),
            (360_000_000_000_000, "100h0m0s"),
        ] {
            assert_eq!(format_duration(Duration::from_nanos(ns)), expected);
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, ms) in [
            ("3s", Some(3_000)),
            ("100ms", Some(100)),
            ("1h30m", Some(5_400_000)),
            ("1.5s", Some(1_500)),
            (".5s", Some(500)),
            ("2m0.25s", Some(120_250)),
            ("5000us", Some(5)),
            ("5000µs", Some(5)),
            ("0", Some(0)),
            ("+1s", Some(1_000)),
            ("-1s", Some(0)),
            ("", None),
            ("3", None),
            ("1d", None),
            ("s", None),
            (".s", None),
            ("1s2", None),
            ("1..5s", None),
            ("999999999999999999999999h", None),
        ] {
            assert_eq!(parse_duration(text), ms.map(Duration::from_millis), "{text}");
        }
    }
}
