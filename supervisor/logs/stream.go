package logs

import (
	"bytes"
	"io"
	"os"
)

// stream is where log lines go that go to no file of ours: our stdout, or stderr.
func stream(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return w
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return w
	}
	return pipeWriter{f}
}

// pipeBuf is PIPE_BUF of Linux; elsewhere it may be 512, and longer lines may be torn.
const pipeBuf = 4096

// pipeWriter writes whole lines to a pipe, in pieces of no more than pipeBuf where no line
// is longer. Such a piece is written as one or not at all (POSIX, write: PIPE_BUF): what
// others write into the same pipe, as a keeper does, comes between lines, and no line is
// torn by a SIGKILL.
type pipeWriter struct{ *os.File }

func (w pipeWriter) Write(lines []byte) (n int, err error) {
	for n < len(lines) && err == nil {
		piece := lines[n:]
		if len(piece) > pipeBuf {
			end := bytes.LastIndexByte(piece[:pipeBuf], '\n')
			if end < 0 { // one that is longer
				end = bytes.IndexByte(piece, '\n')
			}
			if end >= 0 {
				piece = piece[:end+1]
			}
		}
		var k int
		k, err = w.File.Write(piece)
		n += k
	}
	return n, err
}
