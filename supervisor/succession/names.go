package succession

import (
	"math"
	"strconv"
	"strings"

	"github.com/tinehq/tine/supervisor/pool"
)

// Names of the files that a master leaves to the next one.
const (
	// StateFile is the memory of the record that has the State.
	StateFile = "state"
	// WorkerPrefix begins the names of workers' files: worker.APP.ID, with the app's key. They are handle.FilesOfWorker
	// files, in the order that handle.Worker.Files has them.
	WorkerPrefix = "worker."
	// SocketsPrefix begins those of sockets: sockets.KEY.FILE, FILE as listen.Set.Files has it.
	SocketsPrefix = "sockets."
)

// WorkerName is the name of a worker's files. app is the key of its app.
func WorkerName(app int, id pool.WorkerID) string {
	return WorkerPrefix + strconv.Itoa(app) + "." + strconv.FormatUint(uint64(id), 10)
}

// ParseWorkerName is the way back from WorkerName. It knows no other spelling of a number, so that no two names are of one worker.
func ParseWorkerName(name string) (app int, id pool.WorkerID, ok bool) {
	app, rest, ok := numberAfter(name, WorkerPrefix)
	n, err := strconv.ParseUint(rest, 10, 64)
	id = pool.WorkerID(n)
	if !ok || err != nil || name != WorkerName(app, id) {
		return 0, 0, false
	}
	return app, id, true
}

// SocketsName is the name of one file of the sockets with a key.
func SocketsName(key int, file string) string {
	return SocketsPrefix + strconv.Itoa(key) + "." + file
}

// ParseSocketsName is the way back from SocketsName. It knows no other spelling of the number.
func ParseSocketsName(name string) (key int, file string, ok bool) {
	key, file, ok = numberAfter(name, SocketsPrefix)
	if !ok || name != SocketsName(key, file) {
		return 0, "", false
	}
	return key, file, true
}

// maxKey is above every key that an app or sockets are given, so that there are more after any that was read.
const maxKey = math.MaxInt / 2

// numberAfter reads "PREFIXnumber.rest", with a number from 1 to maxKey.
func numberAfter(name, prefix string) (n int, rest string, ok bool) {
	text, ok := strings.CutPrefix(name, prefix)
	number, rest, dot := strings.Cut(text, ".")
	n, err := strconv.Atoi(number)
	if !ok || !dot || err != nil || n < 1 || n > maxKey {
		return 0, "", false
	}
	return n, rest, true
}
