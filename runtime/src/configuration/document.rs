//! The TOML document, with the same keys as the boot arguments.

use super::{Argument, Error, value::Value};
use crate::limits::{DOCUMENT_BYTES, DOCUMENT_DEPTH};
use std::collections::BTreeMap;

const KEY: &str = "configuration document";

pub fn parse(
    document: &[u8],
    known: &dyn Fn(&str) -> Option<Argument>,
) -> Result<BTreeMap<String, Value>, Error> {
    if document.len() > DOCUMENT_BYTES {
        return Err(Error::new(KEY, "it is too long", format!("at most {DOCUMENT_BYTES} bytes")));
    }
    let text =
        std::str::from_utf8(document).map_err(|_| Error::new(KEY, "it is not UTF-8", "a TOML document"))?;
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| 1 + text.bytes().take(span.start).filter(|&byte| byte == b'\n').count());
        Error::new(format!("{KEY}, line {line}"), error.message(), "a TOML document")
    })?;
    table
        .into_iter()
        .map(|(key, value)| match known(&key) {
            None => {
                Err(Error::new(format!("{KEY}, key {key}"), "no such key", "one of those that --help lists"))
            }
            Some(_) if depth(&value) > DOCUMENT_DEPTH => Err(Error::new(
                format!("{KEY}, key {key}"),
                "it is nested too deeply",
                format!("at most {DOCUMENT_DEPTH} levels"),
            )),
            Some(argument) => Ok((key.clone(), Value::Document { argument, key, value })),
        })
        .collect()
}

/// Levels of arrays and tables. The parser has a limit of its own, so the recursion here ends.
fn depth(value: &toml::Value) -> usize {
    match value {
        toml::Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        toml::Value::Table(table) => 1 + table.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
