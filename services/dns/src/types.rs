//! Record types: numbers, mnemonics, and what their data is made of, in one table.
//!
//! The zone file parser reads rdata by this table and checks `\#` data with it; the answers take from it which types
//! hold names that are compressed or whose addresses belong into the additional section.

use Field::*;

/// A record or query type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

#[allow(missing_docs, reason = "the names are those of the registry")]
impl RecordType {
    pub const A: RecordType = RecordType(1);
    pub const NS: RecordType = RecordType(2);
    pub const CNAME: RecordType = RecordType(5);
    pub const SOA: RecordType = RecordType(6);
    pub const PTR: RecordType = RecordType(12);
    pub const MX: RecordType = RecordType(15);
    pub const TXT: RecordType = RecordType(16);
    pub const KEY: RecordType = RecordType(25);
    pub const AAAA: RecordType = RecordType(28);
    pub const OPT: RecordType = RecordType(41);
    pub const DNAME: RecordType = RecordType(39);
    pub const DS: RecordType = RecordType(43);
    pub const RRSIG: RecordType = RecordType(46);
    pub const NSEC: RecordType = RecordType(47);
    pub const DNSKEY: RecordType = RecordType(48);
    pub const NSEC3: RecordType = RecordType(50);
    pub const NSEC3PARAM: RecordType = RecordType(51);
    pub const CDS: RecordType = RecordType(59);
    pub const CDNSKEY: RecordType = RecordType(60);
    pub const TSIG: RecordType = RecordType(250);
    pub const IXFR: RecordType = RecordType(251);
    pub const AXFR: RecordType = RecordType(252);
    pub const ANY: RecordType = RecordType(255);
}

/// One piece of a record's data, and how zone files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Four octets, dotted.
    Ipv4,
    /// Sixteen octets, RFC 4291 §2.2.
    Ipv6,
    /// An uncompressed domain name.
    Name,
    /// Unsigned numbers.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// 32 bits of seconds, written as a number or with units (`1h30m`).
    Period,
    /// 32 bits of seconds since 1970, written so or as YYYYMMDDHHmmSS (RFC 4034 §3.2).
    Time,
    /// A character string: length octet and up to 255 octets.
    Text,
    /// One or more character strings.
    Texts,
    /// The tag of a CAA record: length octet, letters and digits.
    Tag,
    /// All the rest, written as one string.
    LongText,
    /// All the rest, base 64, at least one octet.
    Base64,
    /// All the rest, hexadecimal.
    Hex,
    /// Length octet and hexadecimal digits; `-` is none (RFC 5155 §3.3).
    Salt,
    /// Length octet and base 32 with the extended alphabet (RFC 5155 §3.3).
    Base32,
    /// All the rest: a bitmap of record types (RFC 4034 §4.1.2).
    TypeBitmap,
    /// A record type by its mnemonic.
    Type,
    /// A DNSSEC algorithm by number or mnemonic.
    Algorithm,
    /// A certificate type by number or mnemonic (RFC 4398 §2.1).
    CertificateType,
    /// Service parameters (RFC 9460 §2.1).
    Services,
    /// A LOC record (RFC 1876).
    Location,
    /// Address prefixes (RFC 3123).
    Prefixes,
    /// Six octets, hexadecimal with hyphens (RFC 7043).
    Eui48,
    /// Eight octets, hexadecimal with hyphens (RFC 7043).
    Eui64,
    /// Eight octets in four groups with colons (RFC 6742).
    Node64,
    /// Anything; no text form but `\#`.
    Opaque,
}

/// A line of the table.
#[derive(Debug)]
pub struct Description {
    /// The type's number.
    pub number: u16,
    /// What zone files call it.
    pub mnemonic: &'static str,
    /// What its data is made of.
    pub fields: &'static [Field],
}

const fn row(number: u16, mnemonic: &'static str, fields: &'static [Field]) -> Description {
    Description { number, mnemonic, fields }
}

/// All types that zone files may name, in the order of their numbers.
static TABLE: &[Description] = &[
    row(1, "A", &[Ipv4]),
    row(2, "NS", &[Name]),
    row(3, "MD", &[Name]),
    row(4, "MF", &[Name]),
    row(5, "CNAME", &[Name]),
    row(6, "SOA", &[Name, Name, U32, Period, Period, Period, Period]),
    row(7, "MB", &[Name]),
    row(8, "MG", &[Name]),
    row(9, "MR", &[Name]),
    row(10, "NULL", &[Opaque]),
    row(11, "WKS", &[Opaque]),
    row(12, "PTR", &[Name]),
    row(13, "HINFO", &[Text, Text]),
    row(14, "MINFO", &[Name, Name]),
    row(15, "MX", &[U16, Name]),
    row(16, "TXT", &[Texts]),
    row(17, "RP", &[Name, Name]),
    row(18, "AFSDB", &[U16, Name]),
    row(19, "X25", &[Text]),
    row(20, "ISDN", &[Texts]),
    row(21, "RT", &[U16, Name]),
    row(22, "NSAP", &[Opaque]),
    row(24, "SIG", &[Type, Algorithm, U8, Period, Time, Time, U16, Name, Base64]),
    row(25, "KEY", &[U16, U8, Algorithm, Base64]),
    row(26, "PX", &[U16, Name, Name]),
    row(27, "GPOS", &[Text, Text, Text]),
    row(28, "AAAA", &[Ipv6]),
    row(29, "LOC", &[Location]),
    row(30, "NXT", &[Opaque]),
    row(33, "SRV", &[U16, U16, U16, Name]),
    row(35, "NAPTR", &[U16, U16, Text, Text, Text, Name]),
    row(36, "KX", &[U16, Name]),
    row(37, "CERT", &[CertificateType, U16, Algorithm, Base64]),
    row(39, "DNAME", &[Name]),
    row(42, "APL", &[Prefixes]),
    row(43, "DS", &[U16, Algorithm, U8, Hex]),
    row(44, "SSHFP", &[U8, U8, Hex]),
    row(45, "IPSECKEY", &[Opaque]),
    row(46, "RRSIG", &[Type, Algorithm, U8, Period, Time, Time, U16, Name, Base64]),
    row(47, "NSEC", &[Name, TypeBitmap]),
    row(48, "DNSKEY", &[U16, U8, Algorithm, Base64]),
    row(49, "DHCID", &[Base64]),
    row(50, "NSEC3", &[U8, U8, U16, Salt, Base32, TypeBitmap]),
    row(51, "NSEC3PARAM", &[U8, U8, U16, Salt]),
    row(52, "TLSA", &[U8, U8, U8, Hex]),
    row(53, "SMIMEA", &[U8, U8, U8, Hex]),
    row(55, "HIP", &[Opaque]),
    row(59, "CDS", &[U16, Algorithm, U8, Hex]),
    row(60, "CDNSKEY", &[U16, U8, Algorithm, Base64]),
    row(61, "OPENPGPKEY", &[Base64]),
    row(62, "CSYNC", &[U32, U16, TypeBitmap]),
    row(63, "ZONEMD", &[U32, U8, U8, Hex]),
    row(64, "SVCB", &[U16, Name, Services]),
    row(65, "HTTPS", &[U16, Name, Services]),
    row(99, "SPF", &[Texts]),
    row(104, "NID", &[U16, Node64]),
    row(105, "L32", &[U16, Ipv4]),
    row(106, "L64", &[U16, Node64]),
    row(107, "LP", &[U16, Name]),
    row(108, "EUI48", &[Eui48]),
    row(109, "EUI64", &[Eui64]),
    row(256, "URI", &[U16, U16, LongText]),
    row(257, "CAA", &[U8, Tag, LongText]),
];

/// Where the names of a record's data are, and what answers do with them.
#[derive(Clone, Copy, Debug)]
pub struct NameLayout {
    /// Octets before the first name.
    pub skip: usize,
    /// One or two names, one behind the other.
    pub count: usize,
    /// Whether they may be compressed: only in the types of RFC 1035 (RFC 3597 §4).
    pub compress: bool,
    /// Whether the addresses of the (first) name belong into the additional section.
    pub additional: Additional,
}

/// Which addresses go with a name in record data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Additional {
    /// None.
    No,
    /// Those the zone is authoritative for.
    Authoritative,
    /// Also glue.
    Glue,
}

impl RecordType {
    /// The type with this mnemonic, or written as `TYPE123` (RFC 3597 §5).
    pub fn from_text(text: &[u8]) -> Option<RecordType> {
        if let Some(row) = TABLE.iter().find(|row| row.mnemonic.as_bytes().eq_ignore_ascii_case(text)) {
            return Some(RecordType(row.number));
        }
        let (prefix, number) = text.split_at_checked(4)?;
        let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        if !prefix.eq_ignore_ascii_case(b"TYPE") || !digits {
            return None;
        }
        std::str::from_utf8(number).ok()?.parse().ok().map(RecordType)
    }

    /// What the data is made of; `Opaque` for types that the table does not know.
    pub fn fields(self) -> &'static [Field] {
        self.row().map_or(&[Opaque], |row| row.fields)
    }

    /// Whether this is a type for questions and transports only, which no zone can hold (RFC 6895 §3.1), or the 0 that
    /// is reserved.
    pub fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }

    /// Where the names are that answers have to look at; `None` where records can be copied as they are.
    #[inline]
    pub fn names(self) -> Option<NameLayout> {
        let layout =
            |skip, count, compress, additional| Some(NameLayout { skip, count, compress, additional });
        match self.0 {
            2 => layout(0, 1, true, Additional::Glue),
            6 | 14 => layout(0, 2, true, Additional::No),
            3..=5 | 8..=9 | 12 => layout(0, 1, true, Additional::No),
            7 => layout(0, 1, true, Additional::Authoritative),
            15 => layout(2, 1, true, Additional::Authoritative),
            21 | 36 => layout(2, 1, false, Additional::Authoritative),
            33 => layout(6, 1, false, Additional::Authoritative),
            64 | 65 => layout(2, 1, false, Additional::Authoritative),
            _ => None,
        }
    }

    /// Whether two records have the same data, the case of names in it aside (RFC 4343 §3).
    pub fn same_data(self, mut a: &[u8], mut b: &[u8]) -> bool {
        if a == b || a.len() != b.len() {
            return a == b;
        }
        for field in self.fields() {
            let length = match field {
                Name => name_octets(a),
                U8 | Algorithm => 1,
                U16 | Type | CertificateType => 2,
                Ipv4 | U32 | Period | Time => 4,
                Text => 1 + a.first().map_or(0, |length| usize::from(*length)),
                _ => return a == b,
            };
            let (Some((head, rest)), Some((other, others))) =
                (a.split_at_checked(length), b.split_at_checked(length))
            else {
                return false;
            };
            // Length octets of labels are below the letters.
            let same = if *field == Name { head.eq_ignore_ascii_case(other) } else { head == other };
            if !same {
                return false;
            }
            (a, b) = (rest, others);
        }
        a == b
    }

    fn row(self) -> Option<&'static Description> {
        TABLE.binary_search_by_key(&self.0, |row| row.number).ok().map(|at| &TABLE[at])
    }
}

/// Octets of the uncompressed name at the beginning.
fn name_octets(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length @ 1..) = octets.get(at) {
        at += 1 + usize::from(*length);
    }
    at + 1
}

impl std::fmt::Display for RecordType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.row() {
            Some(row) => f.write_str(row.mnemonic),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by(|a, b| a.number < b.number));
    }

    #[test]
    fn names_are_the_same_in_upper_and_lower_case_and_texts_are_not() {
        assert!(RecordType(15).same_data(b"\0\x01\x01a\0", b"\0\x01\x01A\0"));
        assert!(!RecordType(15).same_data(b"\0\x01\x01a\0", b"\0\x02\x01A\0"));
        assert!(!RecordType(15).same_data(b"\0\x01\x01a\0", b"\0\x01\x02ab\0"));
        assert!(!RecordType(16).same_data(b"\x01a", b"\x01A"));
    }

    #[track_caller]
    fn check(text: &str, expect: Option<u16>) {
        assert_eq!(RecordType::from_text(text.as_bytes()).map(|rtype| rtype.0), expect);
    }

    #[test]
    fn types_are_known_by_mnemonic_or_number() {
        check("aaaa", Some(28));
        check("TYPE28", Some(28));
        check("type65280", Some(65_280));
        check("TYPE65536", None);
        check("TYPE", None);
        check("TYPE+1", None);
        check("EXAMPLE", None);
        assert_eq!(RecordType(28).to_string(), "AAAA");
        assert_eq!(RecordType(65_280).to_string(), "TYPE65280");
    }
}
