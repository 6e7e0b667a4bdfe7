//! What programs said, within texts of our own: in quotation marks that nothing else has, so that it can be left out for
//! those who must not read it. Nobody knows what a hook or a service prints.

use std::borrow::Cow;

const OPEN: char = '\u{201c}';
const CLOSE: char = '\u{201d}';

/// The text as a quotation: “text”.
#[must_use]
pub fn quote(text: &str) -> String {
    // It must not end before it ends.
    format!("{OPEN}{}{CLOSE}", text.replace([OPEN, CLOSE], "\""))
}

/// The same text with every quotation left out: “...”. One that was cut off goes to the end.
#[must_use]
pub fn without_quotations(text: &str) -> Cow<'_, str> {
    if !text.contains(OPEN) {
        return Cow::Borrowed(text);
    }
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once(OPEN) {
        left.push_str(before);
        left.extend([OPEN, '.', '.', '.', CLOSE]);
        rest = quoted.split_once(CLOSE).map_or("", |(_, after)| after);
    }
    left.push_str(rest);
    Cow::Owned(left)
}

#[cfg(test)]
mod tests {
    use super::{quote, without_quotations};

    #[test]
    fn nothing_that_is_quoted_is_left() {
        let said = format!("exited with 2: {}; going back failed, too: {}", quote("no ”luck“"), quote("pw=1"));
        assert_eq!(said, "exited with 2: “no \"luck\"”; going back failed, too: “pw=1”");
        assert_eq!(without_quotations(&said), "exited with 2: “...”; going back failed, too: “...”");
        assert_eq!(without_quotations("exited with 2: “no lu"), "exited with 2: “...”");
        assert_eq!(without_quotations("exited with 2"), "exited with 2");
    }
}
