package logs

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openLog is a log file that is open.
func openLog(path string, r rotation, say func(error)) (*logFile, error) {
	f := newLogFile(path, r, say)
	return f, f.open()
}
