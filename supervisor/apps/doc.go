// Package apps decides everything between the apps of one master, and does nothing itself. What package pool is for the workers
// of one app, it is for the apps.
package apps
