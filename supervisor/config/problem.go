package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxProblems bounds the faults that one error tells of: further ones mostly have the same cause.
const maxProblems = 20

// Problem is one fault of a config, with the place where it is. It is an error; Problems has all of a config.
type Problem struct {
	File    string // empty for a config built in Go
	Line    int    // from 1; 0: unknown
	Column  int    // from 1, in characters
	Path    string // such as apps.web.drain_timeout; empty: the whole file
	Message string // what is wrong and what to write instead
	Source  string // the text of the line

	Order int // problems are sorted by it, then by Line and Column; package config/file sets it to the position of the file
}

// Summary returns the problem in one line: FILE:LINE:COLUMN: PATH: MESSAGE, without what is not known.
func (e *Problem) Summary() string {
	var b strings.Builder
	switch {
	case e.File != "" && e.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	case e.File != "":
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	if e.Path != "" {
		fmt.Fprintf(&b, "%s: ", e.Path)
	}
	b.WriteString(e.Message)
	return b.String()
}

// Error returns the summary, and below it the line of the file with a caret under the column, if the line is known.
func (e *Problem) Error() string {
	if e.Line == 0 || e.Source == "" {
		return e.Summary()
	}
	number := fmt.Sprintf("%4d", e.Line)
	source, column := e.excerpt()
	return fmt.Sprintf("%s\n%s | %s\n%s | %s^", e.Summary(), number, source, strings.Repeat(" ", len(number)), indent(source, column))
}

// MaxExcerpt is the largest number of characters of a line that Error shows.
const MaxExcerpt = 160

// excerpt returns the part of the line that is shown, and the column in it: of a long line the part around the place. Control
// characters are replaced, so that a config cannot steer a terminal.
func (e *Problem) excerpt() (text string, column int) {
	line, column := []rune(e.Source), e.Column
	for i, r := range line {
		if unicode.IsControl(r) && r != '\t' {
			line[i] = unicode.ReplacementChar
		}
	}
	if len(line) <= MaxExcerpt {
		return string(line), column
	}
	from := min(max(0, column-1-MaxExcerpt/2), len(line)-MaxExcerpt)
	line, column = line[from:from+MaxExcerpt], column-from
	if from > 0 {
		line[0] = '…'
	}
	return string(line), column
}

// indent returns blanks as wide as the source before the column. Tabs stay tabs, so that the caret is right at any tab width.
func indent(source string, want int) string {
	var b strings.Builder
	column := 1
	for _, r := range source {
		if column >= want {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
		column++
	}
	for ; column < want && column < 200; column++ {
		b.WriteByte(' ')
	}
	return b.String()
}

// Problems is all that is wrong with a config, in the order of the file.
type Problems struct {
	Errors []*Problem // 1 to 20
	More   int        // number of further ones
}

// Error returns the texts of all, one below the other.
func (e *Problems) Error() string {
	texts := make([]string, 0, len(e.Errors)+1)
	for _, one := range e.Errors {
		texts = append(texts, one.Error())
	}
	if e.More > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(texts, "\n")
}

// Unwrap lets errors.As find a *Problem.
func (e *Problems) Unwrap() []error {
	errs := make([]error, len(e.Errors))
	for i, one := range e.Errors {
		errs[i] = one
	}
	return errs
}

// JoinProblems returns a *[Problems] of errs, which it sorts, or nil if there are none.
func JoinProblems(errs []*Problem) error {
	if len(errs) == 0 {
		return nil
	}
	slices.SortStableFunc(errs, func(a, b *Problem) int {
		if a.Order != b.Order {
			return a.Order - b.Order
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	more := max(0, len(errs)-maxProblems)
	return &Problems{Errors: errs[:len(errs)-more], More: more}
}
