package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Column is one of a table. Where the terminal is too narrow, those with the highest
// number go first; those with 0 stay, and the widest of them is shortened.
type Column struct {
	title string
	right bool
	drop  int
}

// Cell is a text and its colour.
type Cell struct {
	Text   string
	Colour Colour
}

// Cell makes a cell of that colour.
func (c Colour) Cell(text string) Cell { return Cell{text, c} }

// Left makes a column whose cells begin at its left side. Of columns with a drop above 0 the highest is left out
// first where the terminal is too narrow.
func Left(title string, drop int) Column { return Column{title, false, drop} }

// Right is left for cells that end at the right side of the column, as numbers do.
func Right(title string, drop int) Column { return Column{title, true, drop} }

// Table is printed with one row a line below the titles of its columns.
type Table struct {
	columns []Column
	rows    [][]Cell
}

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

// OneLine is text without what would break a row, or do something to a terminal: keys,
// commands and reasons are somebody else's words.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

const gap = 2 // spaces between columns

// Write prints the table so that no line is wider than the screen.
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

// fit sets the widths of columns that go to -1, and shortens one that stays.
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
	pending := 0 // spaces that only stand before something
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

// shorten cuts text to width characters.
func shorten(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
