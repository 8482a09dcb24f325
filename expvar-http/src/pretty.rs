//! Indents a JSON document.

/// The deepest indentation, so that depth cannot multiply a document's size.
const MAX_INDENT: usize = 32;

/// Writes valid JSON `json` to `out`, indented by two spaces a level.
///
/// Objects take a line for each member. An array, or an object in an array, without nested values
/// stays on one line, so that 256 pauses are not 256 lines.
pub(crate) fn indent(json: &[u8], out: &mut Vec<u8>) {
    let mut open: Vec<Container> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        let on_one_line = open.last().is_some_and(|c| c.on_one_line);
        match byte {
            b'"' => {
                let end = string_end(json, at);
                out.extend_from_slice(&json[at..end]);
                at = end;
                continue;
            }
            b'{' | b'[' => {
                let inside_array = open.last().is_some_and(|c| c.is_array);
                let is_array = byte == b'[';
                let content = content(json, at + 1);
                out.push(byte);
                open.push(Container {
                    is_array,
                    on_one_line: content == Content::Nothing
                        || (content == Content::Scalars && (is_array || inside_array)),
                });
                if !open.last().is_some_and(|c| c.on_one_line) {
                    new_line(out, open.len());
                }
            }
            b'}' | b']' => {
                open.pop();
                if !on_one_line {
                    new_line(out, open.len());
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                if on_one_line { out.push(b' ') } else { new_line(out, open.len()) }
            }
            b':' => out.extend_from_slice(b": "),
            byte if byte.is_ascii_whitespace() => {}
            _ => out.push(byte),
        }
        at += 1;
    }
    out.push(b'\n');
}

struct Container {
    is_array: bool,
    on_one_line: bool,
}

#[derive(PartialEq)]
enum Content {
    Nothing,
    Scalars,
    Nested,
}

/// The content of the container that opened just before `at`.
fn content(json: &[u8], mut at: usize) -> Content {
    let mut content = Content::Nothing;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'{' | b'[' => return Content::Nested,
            b'}' | b']' => return content,
            b'"' => {
                content = Content::Scalars;
                at = string_end(json, at);
                continue;
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => content = Content::Scalars,
        }
        at += 1;
    }
    content
}

/// The position after the string that opens at `start`.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth.min(MAX_INDENT), b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indented(json: &str) -> String {
        let mut out = Vec::new();
        indent(json.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_document() {
        let json = "{\n\"a\": {\"x\": 1, \"y\": {}},\n\"list\": [1,[2,3],\"{]\\\",\"],\n\
                    \"pause\": [0,0,0],\n\"sizes\": [{\"n\":1,\"m\":2},{\"n\":2,\"m\":[]}]\n}\n";
        let expected = r#"{
  "a": {
    "x": 1,
    "y": {}
  },
  "list": [
    1,
    [2, 3],
    "{]\","
  ],
  "pause": [0, 0, 0],
  "sizes": [
    {"n": 1, "m": 2},
    {
      "n": 2,
      "m": []
    }
  ]
}
"#;
        assert_eq!(indented(json), expected);
    }

    #[test]
    fn an_empty_document() {
        assert_eq!(indented("{\n\n}\n"), "{}\n");
    }

    #[test]
    fn depth_does_not_multiply_the_size() {
        let depth = 10_000;
        let json = "[".repeat(depth) + &"]".repeat(depth);
        assert!(indented(&json).len() < 2 * depth * (2 * MAX_INDENT + 2));
    }
}
