//! Boot arguments: `--key=value`, `--key value`, `--flag`, `--flag=false`. A list takes `--key=a,b` or the key twice.

use super::{Argument, Error, expected, value::Value};
use crate::limits::{ARGUMENT_BYTES, ARGUMENTS};
use std::{collections::BTreeMap, ffi::OsString};

pub enum Parsed {
    Help,
    Version,
    Values(BTreeMap<String, Value>),
}

pub fn parse(
    given: impl IntoIterator<Item = OsString>,
    known: &dyn Fn(&str) -> Option<Argument>,
) -> Result<Parsed, Error> {
    let mut values = BTreeMap::<String, Vec<String>>::new();
    let mut given = given.into_iter().enumerate();
    while let Some((at, argument)) = given.next() {
        let argument = text(at, argument)?;
        let body = argument.strip_prefix("--").ok_or_else(|| stray(&argument))?;
        let (key, value) = match body.split_once('=') {
            Some((key, value)) => (key, Some(value.to_string())),
            None => (body, None),
        };
        match key {
            "help" if value.is_none() => return Ok(Parsed::Help),
            "version" if value.is_none() => return Ok(Parsed::Version),
            _ => {}
        }
        let argument = known(key).ok_or_else(|| unknown(key))?;
        let value = match value {
            Some(value) => value,
            None if argument.value.is_empty() => "true".to_string(),
            None => match given.next() {
                Some((at, value)) => text(at, value)?,
                None => return Err(Error::new(format!("--{key}"), "it has no value", expected(&argument))),
            },
        };
        values.entry(key.to_string()).or_default().push(value);
    }
    Ok(Parsed::Values(
        values
            .into_iter()
            .map(|(key, given)| (key.clone(), Value::Given { argument: known(&key), key, given }))
            .collect(),
    ))
}

fn text(at: usize, argument: OsString) -> Result<String, Error> {
    let place = || format!("argument {}", at + 1);
    if at >= ARGUMENTS {
        return Err(Error::new(place(), "there are too many", format!("at most {ARGUMENTS} arguments")));
    }
    if argument.len() > ARGUMENT_BYTES {
        return Err(Error::new(place(), "it is too long", format!("at most {ARGUMENT_BYTES} bytes")));
    }
    argument
        .into_string()
        .map_err(|argument| Error::new(argument.to_string_lossy(), "it is not UTF-8", "UTF-8 text"))
}

fn stray(argument: &str) -> Error {
    Error::new(argument, "arguments start with two dashes", "--KEY=VALUE; --help lists every key")
}

pub fn unknown(key: &str) -> Error {
    Error::new(format!("--{key}"), "no such argument", "one of those that --help lists")
}
