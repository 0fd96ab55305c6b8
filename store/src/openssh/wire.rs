//! The types of which ssh's messages, keys and signatures are made (RFC 4251 §5).

/// It ends before it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// A message being taken apart. What it lacks is an error.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, Truncated> {
        Ok(self.take(1)?[0])
    }

    pub fn number(&mut self) -> Result<u32, Truncated> {
        let bytes = self.take(4)?.try_into().map_err(|_| Truncated)?;
        Ok(u32::from_be_bytes(bytes))
    }

    pub fn string(&mut self) -> Result<&'a [u8], Truncated> {
        let length = usize::try_from(self.number()?).map_err(|_| Truncated)?;
        self.take(length)
    }
}

/// A message being put together.
#[derive(Clone, Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Beginning with the message's number.
    pub fn message(number: u8) -> Self {
        Self(vec![number])
    }

    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub fn string(mut self, string: impl AsRef<[u8]>) -> Self {
        let string = string.as_ref();
        self.0.extend_from_slice(&u32::try_from(string.len()).unwrap_or_default().to_be_bytes());
        self.0.extend_from_slice(string);
        self
    }

    /// A number that is not negative, from its bytes, the highest first.
    pub fn integer(self, bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let bytes = &bytes[zeros..];
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            self.string([&[0], bytes].concat())
        } else {
            self.string(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(integer: &[u8], expect: &[u8]) {
        assert_eq!(Writer::default().integer(integer).0, expect);
    }

    /// The examples of RFC 4251 §5.
    #[test]
    fn integers_have_no_sign_and_no_zeros() {
        check(&[0], &[0, 0, 0, 0]);
        check(&[0x09, 0xa3, 0x78], &[0, 0, 0, 3, 0x09, 0xa3, 0x78]);
        check(&[0x80], &[0, 0, 0, 2, 0, 0x80]);
        check(&[0, 0, 0x12], &[0, 0, 0, 1, 0x12]);
    }

    #[test]
    fn what_ends_too_early_is_an_error() {
        let mut reader = Reader(&[0, 0, 0, 2, 7]);
        assert!(reader.string().is_err());
        assert!(Reader(&[0xff, 0xff, 0xff, 0xff]).string().is_err());
    }
}
