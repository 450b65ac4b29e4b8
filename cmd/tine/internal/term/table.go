package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Column is a column of a Table. Where the terminal is too narrow, the column with the highest drop is left out first, then
// the next; columns with 0 stay, and the widest of them is shortened.
type Column struct {
	title string
	right bool
	drop  int
}

// Cell is a text with a colour.
type Cell struct {
	Text   string
	Colour Colour
}

// Cell makes a Cell of that colour.
func (c Colour) Cell(text string) Cell { return Cell{text, c} }

// Left makes a column of text, aligned at the left. drop is 0 for a column that is always shown: see Column.
func Left(title string, drop int) Column { return Column{title, false, drop} }

// Right makes a column of numbers, aligned at the right.
func Right(title string, drop int) Column { return Column{title, true, drop} }

// Table is a list of rows, printed one a line below the titles of the columns.
type Table struct {
	columns []Column
	rows    [][]Cell
}

// NewTable makes a table without rows.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Add appends a row: a cell or a value, which is printed as fmt.Sprint does, for each column from the left. Columns
// without one get "-".
func (t *Table) Add(cells ...any) {
	row := make([]Cell, len(t.columns))
	for i := range row {
		row[i].Text = "-"
		if i < len(cells) {
			if c, ok := cells[i].(Cell); ok {
				row[i] = c
			} else {
				row[i].Text = fmt.Sprint(cells[i])
			}
		}
		row[i].Text = OneLine(row[i].Text)
	}
	t.rows = append(t.rows, row)
}

// OneLine returns text with a ? for each control character, so that other people's text (a key, a command, a reason) neither
// breaks a row nor changes the terminal.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

const gap = 2 // spaces between columns

// Write prints the table, indent spaces from the left. No line is wider than the screen.
func (t *Table) Write(s Screen, indent int) {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].Text))
		}
	}
	t.fit(widths, s.Width-indent)
	titles := make([]Cell, len(t.columns))
	for i, c := range t.columns {
		titles[i] = Bold.Cell(c.title)
	}
	var b strings.Builder
	for _, row := range append([][]Cell{titles}, t.rows...) {
		t.line(&b, s, widths, row, indent)
	}
	fmt.Fprint(s, b.String())
}

// fit sets the width of each column that is left out to -1, and shortens one of the others if that is not enough.
func (t *Table) fit(widths []int, room int) {
	if room <= 0 {
		return
	}
	for {
		total, last, widest := -gap, -1, 0
		for i, w := range widths {
			if w < 0 {
				continue
			}
			total += w + gap
			if t.columns[i].drop > 0 && (last < 0 || t.columns[i].drop > t.columns[last].drop) {
				last = i
			}
			if w > widths[widest] {
				widest = i
			}
		}
		switch {
		case total <= room:
			return
		case last >= 0:
			widths[last] = -1
		default:
			widths[widest] = max(widths[widest]-(total-room), 4)
			return
		}
	}
}

func (t *Table) line(b *strings.Builder, s Screen, widths []int, row []Cell, indent int) {
	b.WriteString(strings.Repeat(" ", indent))
	pending := 0 // spaces that are written only before more text
	for i, w := range widths {
		if w < 0 {
			continue
		}
		text := shorten(row[i].Text, w)
		fill := w - utf8.RuneCountInString(text)
		if t.columns[i].right {
			pending += fill
			fill = 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", pending) + s.Paint(row[i].Colour, text))
			pending = 0
		}
		pending += fill + gap
	}
	b.WriteByte('\n')
}

// shorten cuts text to width characters; 0: no bound.
func shorten(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
