//! CSV records out of a stream of bytes (RFC 4180), made for files that nobody vouches for: the line that a record
//! starts on is exact whatever its cells hold, a record has a size limit, and a quote that is never closed is an
//! error instead of a cell that swallows the rest of the file.
//!
//! Taken as well: LF, CRLF and CR line ends, a byte order mark, blank lines, and quotes in the middle of an unquoted
//! cell (`5" wrist`), which stand for themselves.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

/// Bytes of one record: far more than the longest valid row needs.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Cells of one record.
const CELLS_MAX: usize = 1_000;

/// Why no further record can be read; what was read before it is sound.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("a quote opens in this row and is never closed; the rest of the file was not read")]
    UnclosedQuote { line: u64 },
    #[error("this row is longer than {RECORD_BYTES_MAX} bytes; the rest of the file was not read")]
    TooLong { line: u64 },
    #[error("the file is UTF-16; save it as UTF-8")]
    Utf16,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One record: its cells, unquoted.
#[derive(Debug, Default)]
pub struct Record {
    /// The line that it starts on, from 1.
    pub line: u64,
    /// The cell that goes on after its closing quote, if there is one: the record is framed, but not trustworthy.
    pub broken_cell: Option<usize>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Panics where there is no such cell.
    pub fn cell(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// All cells are empty, as in the rows that spreadsheets leave at the end.
    pub fn is_blank(&self) -> bool {
        self.bytes.is_empty()
    }

    fn start(&mut self, line: u64) {
        self.line = line;
        self.broken_cell = None;
        self.bytes.clear();
        self.ends.clear();
    }

    fn end_cell(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Before the first byte of a cell.
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: its end, or the first half of `""`.
    QuoteInQuoted,
}

/// Reads records one by one.
pub struct Records<R> {
    reader: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    /// The line of the next byte, from 1.
    line: u64,
    /// The last byte was CR: an LF now belongs to the same line end.
    after_cr: bool,
    bytes_read: u64,
}

impl<R: Read> Records<R> {
    /// Looks at the first bytes already, for a byte order mark.
    pub fn new(mut reader: R) -> Result<Self, ReadError> {
        let mut head = Vec::with_capacity(3);
        reader.by_ref().take(3).read_to_end(&mut head)?;
        let bytes_read = match head.as_slice() {
            [0xEF, 0xBB, 0xBF] => {
                head.clear();
                3
            }
            [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => return Err(ReadError::Utf16),
            _ => 0,
        };
        let reader = BufReader::with_capacity(64 * 1024, Cursor::new(head).chain(reader));
        Ok(Self { reader, line: 1, after_cr: false, bytes_read })
    }

    /// Bytes of the file used so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads the next record into `record`; `false` at the end of the file. Blank lines are passed over.
    pub fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        let mut place = Place::CellStart;
        let mut record_bytes = 0_usize;
        record.start(self.line);
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if chunk.is_empty() {
                return match place {
                    Place::Quoted => Err(ReadError::UnclosedQuote { line: record.line }),
                    Place::CellStart if record.ends.is_empty() => Ok(false),
                    Place::CellStart | Place::Plain | Place::QuoteInQuoted => {
                        record.end_cell();
                        Ok(true)
                    }
                };
            }
            let mut used = 0;
            let mut ended = false;
            for &byte in chunk {
                used += 1;
                let second_half_of_crlf = byte == b'\n' && self.after_cr;
                self.after_cr = byte == b'\r';
                let line_end = matches!(byte, b'\r' | b'\n');
                if line_end && !second_half_of_crlf {
                    self.line += 1;
                }
                if place == Place::Quoted {
                    match byte {
                        b'"' => place = Place::QuoteInQuoted,
                        _ => record.bytes.push(byte),
                    }
                    continue;
                }
                if line_end {
                    let blank_line = place == Place::CellStart && record.ends.is_empty();
                    if blank_line {
                        record.line = self.line;
                        continue;
                    }
                    record.end_cell();
                    ended = true;
                    break;
                }
                match (place, byte) {
                    (_, b',') => {
                        record.end_cell();
                        place = Place::CellStart;
                    }
                    (Place::CellStart, b'"') => place = Place::Quoted,
                    (Place::QuoteInQuoted, b'"') => {
                        record.bytes.push(b'"');
                        place = Place::Quoted;
                    }
                    (Place::QuoteInQuoted, byte) => {
                        record.broken_cell.get_or_insert(record.ends.len());
                        record.bytes.push(byte);
                        place = Place::Plain;
                    }
                    (Place::CellStart | Place::Plain | Place::Quoted, byte) => {
                        record.bytes.push(byte);
                        place = Place::Plain;
                    }
                }
            }
            self.reader.consume(used);
            self.bytes_read += used as u64;
            if ended {
                return Ok(true);
            }
            record_bytes += used;
            // Blank lines count too, but nobody has a megabyte of them before a row in good faith.
            if record_bytes > RECORD_BYTES_MAX || record.ends.len() > CELLS_MAX {
                return Err(match place {
                    Place::Quoted => ReadError::UnclosedQuote { line: record.line },
                    Place::CellStart | Place::Plain | Place::QuoteInQuoted => {
                        ReadError::TooLong { line: record.line }
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines with their cells.
    type Cells<'a> = &'a [(u64, &'a [&'a str])];

    /// Hands out one byte at a time, so that every boundary falls between two reads.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn all(reader: impl Read) -> Result<Vec<(u64, Vec<String>)>, ReadError> {
        let mut records = Records::new(reader)?;
        let mut record = Record::default();
        let mut found = Vec::new();
        while records.read(&mut record)? {
            let cell = |index| String::from_utf8_lossy(record.cell(index)).into_owned();
            found.push((record.line, (0..record.len()).map(cell).collect()));
        }
        Ok(found)
    }

    #[test]
    fn records_have_their_cells_and_the_line_they_start_on() {
        let table: &[(&str, Cells<'_>)] = &[
            ("", &[]),
            ("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]),
            ("a,b\r\n1,2\r\n3,4", &[(1, &["a", "b"]), (2, &["1", "2"]), (3, &["3", "4"])]),
            ("a\r1\r", &[(1, &["a"]), (2, &["1"])]),
            ("\u{feff}\"a\"\n1", &[(1, &["a"]), (2, &["1"])]),
            ("a\n\n\r\n1", &[(1, &["a"]), (4, &["1"])]),
            ("a,\n,b\n,", &[(1, &["a", ""]), (2, &["", "b"]), (3, &["", ""])]),
            ("\"a\nb\",1\nc", &[(1, &["a\nb", "1"]), (3, &["c"])]),
            ("\"a\r\n\r\nb\"\r\nc", &[(1, &["a\r\n\r\nb"]), (4, &["c"])]),
            ("\"a\rb\"\nc", &[(1, &["a\rb"]), (3, &["c"])]),
            ("\"say \"\"hi\"\", she\"\n5\" wrist", &[(1, &["say \"hi\", she"]), (2, &["5\" wrist"])]),
            ("\"\"\n\"\"\"\"", &[(1, &[""]), (2, &["\""])]),
            ("=1+1,\"@x\"", &[(1, &["=1+1", "@x"])]),
        ];
        for (text, expected) in table {
            let expected: Vec<_> = expected
                .iter()
                .map(|(line, cells)| (*line, cells.iter().map(|c| c.to_string()).collect()))
                .collect();
            assert_eq!(all(text.as_bytes()).expect(text), expected, "{text:?}");
            assert_eq!(all(Trickle(text.as_bytes())).expect(text), expected, "{text:?} byte by byte");
        }
    }

    #[test]
    fn cells_are_those_that_the_csv_crate_reads() {
        // Exhaustively: every text of up to seven of the bytes that matter, where the quotes are closed.
        let alphabet = [b'a', b',', b'"', b'\n', b'\r'];
        let mut compared = 0;
        for length in 0..=7_u32 {
            for number in 0..alphabet.len().pow(length) {
                let text: Vec<u8> =
                    (0..length).map(|i| alphabet[number / alphabet.len().pow(i) % alphabet.len()]).collect();
                let mut records = Records::new(text.as_slice()).expect("no byte order mark");
                let mut record = Record::default();
                let mut ours: Vec<Vec<Vec<u8>>> = Vec::new();
                let sound = loop {
                    match records.read(&mut record) {
                        Ok(true) if record.broken_cell.is_some() => break false,
                        Ok(true) => ours.push((0..record.len()).map(|i| record.cell(i).to_vec()).collect()),
                        Ok(false) => break true,
                        Err(_unclosed) => break false,
                    }
                };
                if !sound {
                    continue;
                }
                let mut reader =
                    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_slice());
                let theirs: Vec<Vec<Vec<u8>>> = reader
                    .byte_records()
                    .map(|record| record.expect("bytes").iter().map(<[u8]>::to_vec).collect())
                    .collect();
                assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&text));
                compared += 1;
            }
        }
        assert!(compared > 20_000, "only {compared} texts were compared");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error_at_its_row() {
        let mut text = b"a\n1\n\"2\n".to_vec();
        assert!(matches!(all(text.as_slice()), Err(ReadError::UnclosedQuote { line: 3 })));
        text.extend(std::iter::repeat_n(b"3\n", RECORD_BYTES_MAX).flatten());
        assert!(matches!(all(text.as_slice()), Err(ReadError::UnclosedQuote { line: 3 })));
    }

    #[test]
    fn an_endless_row_is_an_error_and_not_a_full_memory() {
        assert!(matches!(all(io::repeat(b'x')), Err(ReadError::TooLong { line: 1 })));
        assert!(matches!(all(io::repeat(b',')), Err(ReadError::TooLong { line: 1 })));
    }

    #[test]
    fn text_behind_a_closing_quote_is_noticed() {
        let mut records = Records::new(&b"a,\"b\"c,d\ne"[..]).expect("no byte order mark");
        let mut record = Record::default();
        assert!(records.read(&mut record).expect("bytes"));
        assert_eq!(record.broken_cell, Some(1));
        assert!(records.read(&mut record).expect("bytes"));
        assert_eq!((record.broken_cell, record.line), (None, 2));
    }

    #[test]
    fn utf_16_is_named() {
        assert!(matches!(all(&b"\xFF\xFEs\0k\0u\0"[..]), Err(ReadError::Utf16)));
    }
}
