package succession

import (
	"strconv"

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

// SocketsName is the name of one file of the sockets with a key.
func SocketsName(key int, file string) string {
	return SocketsPrefix + strconv.Itoa(key) + "." + file
}
