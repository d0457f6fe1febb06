//! One test: a name, and what its values must be.

use std::cmp::Ordering;
use std::net::IpAddr;

use regex::bytes::Regex;
use weir_plugin_sdk::fields::{Decimal, Glance, Key, Value};
use weir_plugin_sdk::{Record, time};

/// A test of one name.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) place: Place,
    pub(crate) name: String,
    /// To see quickly that there is no such field.
    pub(crate) key: Option<Key>,
    pub(crate) check: Check,
    /// It holds when there is a value and the check holds for none.
    pub(crate) negated: bool,
}

/// Where a name is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the payload, and where it has no such field, among the labels.
    Any,
    Field,
    Label,
}

/// What one value must be.
#[derive(Debug)]
pub(crate) enum Check {
    Exists,
    Text(Vec<u8>),
    Number(Order, Decimal),
    Time(Order, u64),
    /// In seconds.
    Duration(Order, f64),
    Matches(Regex),
    Network(Network),
    OneOf(Vec<Check>),
}

/// How a value must lie to the one that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// Addresses with the same first bits. Those of IPv4 are the IPv6 addresses that stand for them.
#[derive(Debug)]
pub(crate) struct Network {
    bits: u128,
    mask: u128,
}

impl Test {
    pub(crate) fn holds(&self, record: &Record<'_>) -> bool {
        let (mut is_there, mut is_met) = (false, false);
        if self.place != Place::Label && self.may_be_field(record) {
            record.visit(&self.name, |value| {
                is_there = true;
                is_met = self.check.holds(value);
                !is_met
            });
        }
        if !is_there
            && self.place != Place::Field
            && let Some(label) = record.label(&self.name)
        {
            is_there = true;
            is_met = self.check.holds(Value::Whole(label.as_bytes()));
        }
        if self.negated { is_there && !is_met } else { is_met }
    }

    /// Whether it takes a walk through the payload to tell. Most records are told by a glance.
    fn may_be_field(&self, record: &Record<'_>) -> bool {
        let Some(key) = &self.key else { return true };
        match key.glance(record.payload, &|value| self.negated || self.check.holds(value)) {
            Glance::Absent => false,
            // What looked like the field may be another, and then the label counts.
            Glance::Unwanted => self.place == Place::Any && record.label(&self.name).is_some(),
            Glance::Unknown => true,
        }
    }
}

impl Check {
    fn holds(&self, value: Value<'_>) -> bool {
        match self {
            Check::Exists => true,
            Check::Text(text) => value.is_text(text),
            Check::Number(order, number) => {
                value.number().is_some_and(|given| order.holds(number.order_of(given)))
            }
            Check::Time(order, ns) => {
                time::parse(&text_of(value)).is_some_and(|given| order.holds(given.cmp(ns)))
            }
            Check::Duration(order, seconds) => {
                time::seconds(&text_of(value)).is_some_and(|given| order.holds(given.total_cmp(seconds)))
            }
            Check::Matches(regex) => regex.is_match(&text_of(value)),
            Check::Network(network) => {
                address(&text_of(value)).is_some_and(|bits| bits & network.mask == network.bits)
            }
            Check::OneOf(checks) => checks.iter().any(|check| check.holds(value)),
        }
    }
}

impl Order {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Order::Equal => order.is_eq(),
            Order::Greater => order.is_gt(),
            Order::GreaterOrEqual => order.is_ge(),
            Order::Less => order.is_lt(),
            Order::LessOrEqual => order.is_le(),
        }
    }
}

impl Network {
    /// `10.0.0.0/8`, `fe80::/10`, or one address. `None` for all else.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (first, length) =
            text.split_once('/').map_or((text, None), |(first, length)| (first, Some(length)));
        let bits = address(first.as_bytes())?;
        let before = if first.contains(':') { 0 } else { 96 };
        let length = length.map_or(Some(128), |length| length.parse::<u32>().ok()?.checked_add(before))?;
        // Of a length beyond 128 nothing is left to shift by.
        let mask = u128::MAX.checked_shl(128_u32.checked_sub(length)?).unwrap_or(0);
        Some(Network { bits: bits & mask, mask })
    }
}

fn address(text: &[u8]) -> Option<u128> {
    let bits = match std::str::from_utf8(text).ok()?.parse().ok()? {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    Some(bits)
}

fn text_of(value: Value<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    value.write_text(&mut text);
    text
}
