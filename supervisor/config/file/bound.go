package file

import (
	"github.com/goccy/go-yaml/token"
)

// The YAML library takes time that grows with the square of how deep a file nests, of the lines of one section, and of
// the empty lines behind a block of text. So these are bounded before the library reads the file, far above what a config needs: a
// file that was written to do harm, or by mistake, is refused in a few seconds at most.
const (
	maxDepth  = 100    // lists and sections within each other
	maxTokens = 60_000 // words and signs of all files: some 20,000 lines
	maxGap    = 50     // empty lines in a row
)

// tooDeep returns the token that opens one list or section too many within others, or nil. Those that are nested by
// indentation alone do not count: their number is bounded by the bytes that it takes.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, dashes, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(0, brackets-1)
		}
		// "- - -" nests in one line.
		at := placeOfToken(t)
		if at.line != line {
			dashes, line = 0, at.line
		}
		if t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType {
			dashes++
		}
		if brackets+dashes > maxDepth {
			return t
		}
	}
	return nil
}

// longGap returns the number, from 1, of the line with which too many in a row are empty or have only spaces; 0: none.
func longGap(text []byte) int {
	line, empty := 1, 0
	blank := true
	for i, c := range text {
		switch {
		case c == '\n' || c == '\r' && (i+1 == len(text) || text[i+1] != '\n'):
			if !blank {
				empty = 0
			} else if empty++; empty > maxGap {
				return line
			}
			line, blank = line+1, true
		case c != ' ' && c != '\t' && c != '\r':
			blank = false
		}
	}
	return 0
}
