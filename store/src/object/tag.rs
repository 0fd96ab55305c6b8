//! Annotated tags: a name and a message for another object.

use super::{Identity, Kind, Malformed, take_header};
use crate::id::{Format, ObjectId};

/// An annotated tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it is about.
    pub target: ObjectId,
    /// Of which kind that is.
    pub kind: Kind,
    /// Its name.
    pub name: Vec<u8>,
    /// Who made it; the oldest tags of git do not say.
    pub tagger: Option<Identity>,
    /// Its message, with a signature at the end if it has one.
    pub message: Vec<u8>,
}

impl Tag {
    /// Reads a tag.
    pub fn parse(format: Format, data: &[u8]) -> Result<Self, Malformed> {
        let mut rest = data;
        let target = take_header(&mut rest, "object").ok_or(Malformed("a tag has no object"))?;
        let target = ObjectId::from_hex(target).filter(|id| id.format() == format);
        let kind =
            take_header(&mut rest, "type").and_then(Kind::from_name).ok_or(Malformed("a tag has no type"))?;
        let name = take_header(&mut rest, "tag").ok_or(Malformed("a tag has no name"))?;
        let tagger = take_header(&mut rest, "tagger").map(Identity::parse).transpose()?;
        let message = match rest {
            [] => rest,
            _ => rest.strip_prefix(b"\n").ok_or(Malformed("a tag has no empty line behind its headers"))?,
        };
        Ok(Self {
            target: target.ok_or(Malformed("a tag refers to what is no id"))?,
            kind,
            name: name.into(),
            tagger,
            message: message.into(),
        })
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = format!("object {}\ntype {}\ntag ", self.target, self.kind).into_bytes();
        data.extend_from_slice(&self.name);
        data.push(b'\n');
        if let Some(tagger) = &self.tagger {
            data.extend_from_slice(b"tagger ");
            data.extend_from_slice(tagger.line());
            data.push(b'\n');
        }
        data.push(b'\n');
        data.extend_from_slice(&self.message);
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(), &str>) {
        let parsed = Tag::parse(Format::Sha1, text.as_bytes());
        if let Ok(tag) = &parsed {
            assert_eq!(tag.encode(), text.as_bytes());
        }
        assert_eq!(parsed.map(drop).map_err(|error| error.0), expect);
    }

    #[test]
    fn tags_are_read_and_written() {
        let start = "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\n";
        check(&format!("{start}tagger A <a@b> 1 +0000\n\nWhy\n"), Ok(()));
        check(&format!("{start}\nWhy\n"), Ok(()));
        check(&format!("{start}other\n"), Err("a tag has no empty line behind its headers"));
        check("object x\ntype commit\ntag v1\n\n", Err("a tag refers to what is no id"));
        check("object x\ntype thing\ntag v1\n\n", Err("a tag has no type"));
    }
}
