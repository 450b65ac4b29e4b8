package term

import (
	"io"
	"os"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Screen is what is written to, and what it can do.
type Screen struct {
	io.Writer
	Terminal bool
	Colours  bool
	Width    int // columns; 0: no bound
	Height   int // lines; 0: no bound
}

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

// answer is a writer that remembers the first failure, for what is written in many pieces.
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

// Failed is why not all of what was printed has arrived: the command has given no answer then.
func (s Screen) Failed() error {
	if a, ok := s.Writer.(*answer); ok {
		return a.err
	}
	return nil
}

// Colour is a number of ECMA-48's "select graphic rendition".
type Colour string

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

func (s Screen) Paint(c Colour, text string) string {
	if !s.Colours || c == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Harmless is a worker's line as a terminal may have it: colours stay, all else that
// would move its cursor or change its state is shown instead. Files get it as it is.
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
		out = append(out, "\x1b[0m"...) // a line that leaves its colour on changes no other
	}
	return string(out)
}

// colourEnd is the length of the colour sequence that text begins with; 0: none.
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
