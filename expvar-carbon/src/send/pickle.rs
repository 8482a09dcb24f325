//! Lines as frames of Python pickles, for carbon's port 2004.
//!
//! A frame is a length of 4 bytes, big-endian, and a pickle of protocol 2: a list of
//! `(name, (timestamp, value))`. Servers close the connection on a frame of more than 1 MiB.

/// The longest pickle, in bytes.
pub(crate) const FRAME_MAX_BYTES: usize = 1 << 20;

const START: &[u8] = b"\x80\x02](";
const END: &[u8] = b"e.";

/// Appends `lines`, rendered by [`Lines`](crate::Lines), as frames of at most `limit` bytes. Skips
/// malformed lines.
pub(crate) fn encode(lines: &[u8], limit: usize, out: &mut Vec<u8>) {
    let mut frame = None;
    let points = lines.split(|&b| b == b'\n').filter_map(parse);
    for point in points {
        let start = *frame.get_or_insert_with(|| open(out));
        let item = out.len();
        write(point, out);
        if out.len() - start + END.len() > limit && item > start + START.len() {
            let point = out.split_off(item);
            close(start, out);
            frame = Some(open(out));
            out.extend_from_slice(&point);
        }
    }
    if let Some(start) = frame {
        close(start, out);
    }
}

/// Begins a frame; returns its position.
fn open(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(START);
    out.len() - START.len()
}

fn close(start: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(END);
    let length = (out.len() - start) as u32;
    out[start - 4..start].copy_from_slice(&length.to_be_bytes());
}

fn write((name, value, timestamp): (&str, f64, i64), out: &mut Vec<u8>) {
    out.push(b'X');
    out.extend_from_slice(&(name.len() as u32).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    match i32::try_from(timestamp) {
        Ok(timestamp) => {
            out.push(b'J');
            out.extend_from_slice(&timestamp.to_le_bytes());
        }
        // After 2038: a long of 8 bytes.
        Err(_) => {
            out.extend_from_slice(b"\x8a\x08");
            out.extend_from_slice(&timestamp.to_le_bytes());
        }
    }
    out.push(b'G');
    out.extend_from_slice(&value.to_be_bytes());
    out.extend_from_slice(b"\x86\x86");
}

fn parse(line: &[u8]) -> Option<(&str, f64, i64)> {
    let line = std::str::from_utf8(line).ok()?;
    let (rest, timestamp) = line.rsplit_once(' ')?;
    let (name, value) = rest.rsplit_once(' ')?;
    Some((name, value.parse().ok()?, timestamp.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_at_the_limit_and_hold_every_point() {
        let lines: String = (0..1_000).map(|n| format!("a.b{n} {n} 1700000000\n")).collect();
        let mut out = Vec::new();
        encode(lines.as_bytes(), 512, &mut out);
        let (mut rest, mut points) = (out.as_slice(), 0);
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            assert!(frame.len() <= 512);
            assert!(frame.starts_with(START) && frame.ends_with(END));
            points += frame.windows(2).filter(|w| w == b"\x86\x86").count();
            rest = after;
        }
        assert_eq!(points, 1_000);
    }

    #[test]
    fn what_is_no_line_leaves_no_trace() {
        let mut out = Vec::new();
        encode(b"rubbish\na 1\n", 512, &mut out);
        assert!(out.is_empty());
        encode(b"rubbish\na 1 5\nmore\n", 512, &mut out);
        let mut alone = Vec::new();
        encode(b"a 1 5\n", 512, &mut alone);
        assert_eq!(out, alone);
    }
}
