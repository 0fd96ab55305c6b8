//! One value of the configuration, and how serde reads it.
//!
//! A value from an argument is text: it becomes a number, a boolean or a list as the field wants. One from the document has
//! its type already. Every error is made here, where the key is known.

use super::{Argument, Error, expected};
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor, value::SeqDeserializer},
    forward_to_deserialize_any,
};
use std::{collections::BTreeMap, fmt};

#[derive(Debug)]
pub enum Value {
    /// From boot arguments, once for each time it was given.
    Given { argument: Option<Argument>, key: String, given: Vec<String> },
    /// From the document.
    Document { argument: Argument, key: String, value: toml::Value },
}

impl Value {
    /// An error about this value.
    pub fn error(&self, problem: impl fmt::Display) -> Error {
        match self {
            Self::Given { argument, key, given } => {
                let expected = argument.as_ref().map(expected).unwrap_or_default();
                let shown = if self.is_secret() { "...".into() } else { given.join(",") };
                Error::new(format!("--{key}={shown}"), problem, expected)
            }
            Self::Document { argument, key, .. } => {
                Error::new(format!("configuration document, key {key}"), problem, expected(argument))
            }
        }
    }

    /// Whether nobody is to see it: what stands for it in `--help` says so.
    fn is_secret(&self) -> bool {
        match self {
            Self::Given { argument, .. } => argument.as_ref().is_some_and(|it| it.value.contains("SECRET")),
            Self::Document { argument, .. } => argument.value.contains("SECRET"),
        }
    }

    /// Its text, if it is text and was given once.
    pub fn text(&self) -> Result<&str, Error> {
        match self {
            Self::Given { given, .. } => match given.as_slice() {
                [text] => Ok(text),
                _ => Err(self.error("it was given more than once")),
            },
            Self::Document { value: toml::Value::String(text), .. } => Ok(text),
            Self::Document { value, .. } => Err(self.error(format_args!("it is {}", kind(value)))),
        }
    }

    /// Its number, if the document says one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Document { value: toml::Value::Integer(number), .. } => Some(*number),
            _ => None,
        }
    }

    /// Its texts: given several times, split at commas, or an array of strings.
    pub fn texts(&self) -> Result<Vec<&str>, Error> {
        match self {
            Self::Given { given, .. } => Ok(split(given).collect()),
            Self::Document { value: toml::Value::Array(values), .. } => values
                .iter()
                .map(|value| {
                    value.as_str().ok_or_else(|| self.error(format_args!("there is {} in it", kind(value))))
                })
                .collect(),
            Self::Document { .. } => Ok(self.text()?.split(',').collect()),
        }
    }
}

fn split(given: &[String]) -> impl Iterator<Item = &str> {
    given.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty())
}

fn kind(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "a string",
        toml::Value::Integer(_) => "an integer",
        toml::Value::Float(_) => "a number",
        toml::Value::Boolean(_) => "a boolean",
        toml::Value::Datetime(_) => "a date",
        toml::Value::Array(_) => "an array",
        toml::Value::Table(_) => "a table",
    }
}

/// All fields of a service's struct.
pub struct Fields {
    left: std::collections::btree_map::IntoIter<String, Value>,
    value: Option<Value>,
}

impl Fields {
    pub fn new(values: BTreeMap<String, Value>) -> Self {
        Self { left: values.into_iter(), value: None }
    }
}

impl<'de> Deserializer<'de> for Fields {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().ok_or_else(|| de::Error::custom("a value without a key"))?;
        let (about, secret) = (value.error(""), value.is_secret());
        let named = |problem: &dyn fmt::Display| match problem.to_string() {
            // serde's words for a value that is a number where a text should be, and so on; it repeats the value.
            problem if secret && problem.starts_with("invalid ") => {
                Error { problem: "it is of the wrong kind".into(), ..about }
            }
            problem => Error { problem: super::printable(&problem), ..about },
        };
        match value {
            Value::Given { given, argument, key } => {
                seed.deserialize(Text { given, argument, key }).map_err(|error| named(&error.problem))
            }
            Value::Document { value, .. } => seed.deserialize(value).map_err(|error| named(&error.message())),
        }
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("configuration", message, "what --help says")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("--{field}"), "it is missing", "a value for it; --help tells what for")
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        super::arguments::unknown(field)
    }
}

/// A value from boot arguments.
struct Text {
    given: Vec<String>,
    argument: Option<Argument>,
    key: String,
}

impl Text {
    fn once(mut self) -> Result<String, Error> {
        match (self.given.pop(), self.given.is_empty()) {
            (Some(text), true) => Ok(text),
            _ => {
                let Self { given, argument, key } = self;
                Err(Value::Given { argument, key, given }.error("it was given more than once"))
            }
        }
    }

    fn parse<T: std::str::FromStr<Err: fmt::Display>>(self) -> Result<T, Error> {
        self.once()?.parse().map_err(de::Error::custom)
    }
}

macro_rules! parsed {
    ($($deserialize:ident $visit:ident $type:ty,)+) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.parse::<$type>()?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Text {
    type Error = Error;

    parsed! {
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i64 i64,
        deserialize_i16 visit_i64 i64,
        deserialize_i32 visit_i64 i64,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u64 u64,
        deserialize_u16 visit_u64 u64,
        deserialize_u32 visit_u64 u64,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.once()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let texts: Vec<String> = split(&self.given).map(str::to_string).collect();
        visitor.visit_seq(SeqDeserializer::new(texts.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.once()?.into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}
