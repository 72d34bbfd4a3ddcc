//! Log lines against every way the engine may cut them.

use super::*;
use crate::docker::demux::frame;
use proptest::prelude::*;

const STAMP: &str = "2026-11-23T05:20:31.724944702Z";
const NANOS: i64 = 1_795_411_231_724_944_702;

/// A log as the engine sends it for a program that wrote these lines.
fn engine_framed(lines: &[(OutputStream, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (stream, line) in lines {
        let whole = [line.as_slice(), b"\n"].concat();
        for message in cut(&whole) {
            bytes.extend(frame(*stream, &[STAMP.as_bytes(), b" ", message].concat()));
        }
    }
    bytes
}

fn engine_raw(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        let whole = [line.as_slice(), b"\r\n"].concat();
        for message in cut(&whole) {
            bytes.extend([STAMP.as_bytes(), b" ", message].concat());
        }
    }
    bytes
}

/// The engine reads 16 KiB at a time; a read that ends exactly before the line end leaves that for a message of
/// its own.
fn cut(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.chunks(MESSAGE)
}

fn read(tty: bool, bytes: &[u8], chunk: usize) -> Vec<LogLine> {
    let (mut assembler, mut lines) = (Assembler::new(tty), Vec::new());
    for bytes in bytes.chunks(chunk.max(1)) {
        assembler.feed(bytes, |line| lines.push(line)).expect("valid frames");
    }
    assembler.finish(|line| lines.push(line));
    lines
}

fn line(stream: OutputStream, text: &[u8]) -> LogLine {
    LogLine { at_nanos: NANOS, stream, line: text[..text.len().min(MAX_LOG_LINE)].to_vec() }
}

#[test]
fn a_long_line_has_one_timestamp() {
    let long = vec![b'x'; 40_000];
    let bytes =
        engine_framed(&[(OutputStream::Stdout, long.clone()), (OutputStream::Stderr, b"short".to_vec())]);
    let expected = [line(OutputStream::Stdout, &long), line(OutputStream::Stderr, b"short")];
    assert_eq!(read(false, &bytes, 1000), expected);
    let bytes = engine_raw(&[long.clone(), b"short".to_vec()]);
    let expected = [line(OutputStream::Stdout, &long), line(OutputStream::Stdout, b"short")];
    assert_eq!(read(true, &bytes, 1000), expected);
}

#[test]
fn a_last_line_without_an_end_is_not_lost_nor_joined_to_the_next() {
    let text = |text: &[u8]| frame(OutputStream::Stdout, &[STAMP.as_bytes(), b" ", text].concat());
    let bytes = [text(b"no end"), text(b"after a restart\n"), text(b"")].concat();
    let expected = [
        line(OutputStream::Stdout, b"no end"),
        line(OutputStream::Stdout, b"after a restart"),
        line(OutputStream::Stdout, b""),
    ];
    assert_eq!(read(false, &bytes, 7), expected);
    let bytes = format!("{STAMP} one\r\n{STAMP} no end");
    assert_eq!(read(true, bytes.as_bytes(), 5).len(), 2);
}

#[test]
fn terminal_bytes_that_look_like_frame_headers_are_text() {
    let bytes = engine_raw(&[b"\x01\x02\xff\xff\xff\xff binary".to_vec()]);
    assert_eq!(read(true, &bytes, 3), [line(OutputStream::Stdout, b"\x01\x02\xff\xff\xff\xff binary")]);
}

#[test]
fn lines_without_timestamps_are_kept() {
    let bytes = frame(OutputStream::Stderr, b"error from the engine\n");
    let lines = read(false, &bytes, 100);
    assert_eq!((lines[0].at_nanos, lines[0].line.as_slice()), (0, &b"error from the engine"[..]));
}

#[test]
fn an_endless_line_is_cut_and_costs_one_line_of_memory() {
    let mut assembler = Assembler::new(true);
    for _ in 0..1000 {
        assembler.feed(&[b'x'; 16 << 10], |_| panic!("no line has ended")).expect("raw");
    }
    let Assembler::Raw(assembly) = &assembler else { panic!("a terminal") };
    assert!(assembly.line.capacity() <= 2 * MAX_LOG_LINE);
    let mut lines = Vec::new();
    assembler.feed(b"\n", |line| lines.push(line)).expect("raw");
    assert_eq!(lines[0].line.len(), MAX_LOG_LINE);
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("line ends are added", |byte| !matches!(byte, b'\n' | b'\r'));
    prop_oneof![
        4 => prop::collection::vec(byte, 0..60),
        // Around the cut, where a terminal's log is ambiguous only by its place.
        1 => (MESSAGE - 3..MESSAGE + 3).prop_map(|length| vec![b'y'; length]),
        1 => (2 * MESSAGE - 3..2 * MESSAGE + 3).prop_map(|length| vec![b'z'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn framed_lines_survive_every_cut(
        lines in prop::collection::vec((any::<bool>(), text()), 0..8),
        chunk in 1usize..5000,
    ) {
        let lines: Vec<_> = lines
            .into_iter()
            .map(|(err, text)| (if err { OutputStream::Stderr } else { OutputStream::Stdout }, text))
            .collect();
        let expected: Vec<_> = lines.iter().map(|(stream, text)| line(*stream, text)).collect();
        prop_assert_eq!(read(false, &engine_framed(&lines), chunk), expected);
    }

    #[test]
    fn terminal_lines_survive_every_cut(lines in prop::collection::vec(text(), 0..8), chunk in 1usize..5000) {
        let expected: Vec<_> = lines.iter().map(|text| line(OutputStream::Stdout, text)).collect();
        prop_assert_eq!(read(true, &engine_raw(&lines), chunk), expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), tty: bool) {
        let mut assembler = Assembler::new(tty);
        assembler.feed(&bytes, |_| {}).ok();
        assembler.finish(|_| {});
    }
}
