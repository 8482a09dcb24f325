//! Bars of eighths: `▁▂▃▄▅▆▇█`.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The minimum and maximum of the finite `values`.
pub(super) fn extent(values: &[f64]) -> Option<(f64, f64)> {
    let mut known = values.iter().copied().filter(|v| v.is_finite());
    let first = known.next()?;
    Some(known.fold((first, first), |(min, max), v| (min.min(v), max.max(v))))
}

/// Draws the last `values` in `area`, one per column, the newest at the right; unknown ones stay
/// empty.
///
/// Bars start at zero, unless all values are in the upper half; then at the minimum, so that small
/// changes of a large value are visible. The minimum is one eighth high.
pub(super) fn draw(values: &[f64], area: Rect, style: Style, buffer: &mut Buffer) {
    let values = &values[values.len().saturating_sub(area.width.into())..];
    let Some((min, max)) = extent(values) else { return };
    let floor = if min >= 0.0 && min <= max / 2.0 { 0.0 } else { min };
    let span = if max > floor { max - floor } else { 1.0 };
    let eighths = f64::from(area.height) * 8.0;
    let left = area.right() - values.len() as u16;
    for (x, &value) in (left..).zip(values) {
        if !value.is_finite() {
            continue;
        }
        let mut height = ((value - floor) / span * (eighths - 1.0)).round() as u16 + 1;
        if value == 0.0 && floor == 0.0 {
            height = 1;
        }
        for y in (area.top()..area.bottom()).rev() {
            let part = usize::from(height.min(8));
            if part == 0 {
                break;
            }
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.set_symbol(EIGHTHS[part]).set_style(style);
            }
            height = height.saturating_sub(8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[f64], width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        draw(values, area, Style::new(), &mut buffer);
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        (0..height).map(row).collect()
    }

    #[test]
    fn bars_show_what_is_known() {
        assert_eq!(drawn(&[0.0, 1.0, f64::NAN, 7.0], 5, 1), [" ▁▂ █"]);
        assert_eq!(drawn(&[1.0, 2.0, 3.0], 2, 1), ["▁█"], "the newest, on their least");
        assert_eq!(drawn(&[1.0, 3.0], 2, 1), ["▃█"], "on zero");
        assert_eq!(drawn(&[5.0, 5.0], 2, 1), ["▁▁"], "what stands still is flat");
        assert_eq!(drawn(&[-2.0, 0.0, 2.0], 3, 1), ["▁▅█"]);
        assert_eq!(drawn(&[0.0, 7.0, 15.0], 3, 2), ["  █", "▁██"].map(|s| s.to_owned()));
        assert_eq!(drawn(&[], 2, 1), ["  "]);
        assert_eq!(drawn(&[f64::NAN], 1, 1), [" "]);
        assert_eq!(drawn(&[f64::MAX, f64::MIN], 2, 1).len(), 1);
    }
}
