package term

import (
	"io"
	"os"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Screen is a writer, and what a terminal behind it can do. All methods may be called on a copy.
type Screen struct {
	io.Writer
	Terminal bool
	Colours  bool
	Width    int // columns; 0: no bound
	Height   int // lines; 0: no bound
}

// NewScreen makes a Screen of w. If w is the file of a terminal, it asks the size and whether colours are wanted.
func NewScreen(w io.Writer) Screen {
	s := Screen{Writer: &answer{Writer: w}}
	f, ok := w.(*os.File)
	if !ok {
		return s
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return s
	}
	s.Terminal, s.Width, s.Height = true, int(size.Col), int(size.Row)
	// https://no-color.org: set and not empty.
	s.Colours = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// answer is a writer that remembers its first error.
type answer struct {
	io.Writer
	err error
}

func (a *answer) Write(p []byte) (int, error) {
	n, err := a.Writer.Write(p)
	if a.err == nil {
		a.err = err
	}
	return n, err
}

// Failed returns the first error of writing to s or to a copy of it. A command that could not print its answer has failed.
func (s Screen) Failed() error {
	if a, ok := s.Writer.(*answer); ok {
		return a.err
	}
	return nil
}

// Colour is a parameter of ECMA-48's "select graphic rendition".
type Colour string

// The colours that have a meaning: red is a fault, yellow passes, green is as it should be.
const (
	Plain  Colour = ""
	Bold   Colour = "1"
	Dim    Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
)

// rotation are the colours that tell apps and slots apart.
var rotation = []Colour{"36", "35", "34", "32", "33", "96", "95", "94"}

// Paint returns text in a colour, if s has colours.
func (s Screen) Paint(c Colour, text string) string {
	if !s.Colours || c == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Harmless returns a line of other people's text without control sequences, which could move the cursor or change the state
// of a terminal: they become visible characters. Colours stay where s has colours. If s is not a terminal the line stays
// as it is.
func (s Screen) Harmless(line string) string {
	if !s.Terminal {
		return line
	}
	var out []byte
	coloured := false
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRuneInString(line[i:])
		switch {
		case r == 0x1b:
			if end := colourEnd(line[i:]); end > 0 {
				if s.Colours {
					out = append(out, line[i:i+end]...)
					coloured = true
				}
				n = end
			} else {
				out = append(out, "^["...)
			}
		case r == '\t' || !unicode.IsControl(r):
			out = append(out, line[i:i+n]...)
		case r < 0x20:
			out = append(out, '^', byte(r)+'@')
		default:
			out = append(out, '?')
		}
		i += n
	}
	if coloured {
		out = append(out, "\x1b[0m"...) // the colour ends with its line
	}
	return string(out)
}

// colourEnd returns the length of the colour sequence at the beginning of text; 0: there is none.
func colourEnd(text string) int {
	if len(text) < 3 || text[1] != '[' {
		return 0
	}
	for i := 2; i < len(text); i++ {
		switch c := text[i]; {
		case c == 'm':
			return i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}
