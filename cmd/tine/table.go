package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// column is one of a table. Where the terminal is too narrow, those with the highest
// number go first; those with 0 stay, and the widest of them is shortened.
type column struct {
	title string
	right bool
	drop  int
}

// cell is a text and its colour.
type cell struct {
	text   string
	colour colour
}

type table struct {
	columns []column
	rows    [][]cell
}

// add appends a row of strings and cells, one for each column.
func (t *table) add(cells ...any) {
	row := make([]cell, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case cell:
			row[i] = c
		default:
			row[i] = cell{text: fmt.Sprint(c)}
		}
		row[i].text = oneLine(row[i].text)
	}
	t.rows = append(t.rows, row)
}

// oneLine is text without what would break a row, or do something to a terminal: keys,
// commands and reasons are somebody else's words.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

const gap = 2 // spaces between columns

// write prints the table so that no line is wider than the screen.
func (t *table) write(s screen, indent int) {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	t.fit(widths, s.width-indent)
	titles := make([]cell, len(t.columns))
	for i, c := range t.columns {
		titles[i] = cell{c.title, bold}
	}
	var b strings.Builder
	for _, row := range append([][]cell{titles}, t.rows...) {
		t.line(&b, s, widths, row, indent)
	}
	fmt.Fprint(s, b.String())
}

// fit sets the widths of columns that go to -1, and shortens one that stays.
func (t *table) fit(widths []int, room int) {
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

func (t *table) line(b *strings.Builder, s screen, widths []int, row []cell, indent int) {
	b.WriteString(strings.Repeat(" ", indent))
	pending := 0 // spaces that only stand before something
	for i, w := range widths {
		if w < 0 {
			continue
		}
		text := shorten(row[i].text, w)
		fill := w - utf8.RuneCountInString(text)
		if t.columns[i].right {
			pending += fill
			fill = 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", pending) + s.paint(row[i].colour, text))
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
