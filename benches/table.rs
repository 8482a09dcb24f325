//! Tables that read well in a terminal and are Markdown.

/// Prints rows of equal length, the first of them as the head; a line follows.
pub fn print(rows: Vec<Vec<String>>) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).filter_map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let cells =
            row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!(" {cell:<width$} |"),
                _ => format!(" {cell:>width$} |"),
            });
        println!("|{}", cells.collect::<String>());
        if at == 0 {
            let rule = widths.iter().enumerate().map(|(column, &width)| match column {
                0 => format!("{}|", "-".repeat(width + 2)),
                _ => format!("{}:|", "-".repeat(width + 1)),
            });
            println!("|{}", rule.collect::<String>());
        }
    }
    println!();
}
