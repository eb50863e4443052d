//! Answers for people: a row for each thing, columns as wide as they need to be.

use serde_json::Value;

/// One field as text; nothing for what is not there.
pub fn field(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Rows with a heading. Control characters, which remote names may hold, are never sent to the terminal (T-75).
pub fn rows(value: &Value, columns: &[&str], empty: &str) -> String {
    let items = value.as_array().map_or(&[] as &[Value], Vec::as_slice);
    if items.is_empty() {
        return empty.to_owned();
    }
    let mut lines = vec![columns.iter().map(|name| name.replace('_', " ")).collect::<Vec<_>>()];
    lines.extend(
        items
            .iter()
            .map(|item| columns.iter().map(|column| clean(&field(item, column))).collect()),
    );
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
        .collect();
    let print = |line: &Vec<String>| {
        let cells: Vec<_> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.iter().map(print).collect::<Vec<_>>().join("\n")
}

pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn t75_columns_line_up_and_remote_text_stays_on_its_line() {
        let value = json!([{ "name": "a", "size": 1 }, { "name": "long\u{1b}[31m\nname", "size": 22 }]);
        let text = rows(&value, &["name", "size"], "nothing");
        assert_eq!(text.lines().count(), 3);
        assert!(!text.contains('\u{1b}'));
        assert_eq!(rows(&json!([]), &["name"], "nothing"), "nothing");
    }
}
