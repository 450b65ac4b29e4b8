package main

import _ "time/tzdata" // a schedule may name its zone, also in a container that has no files of them
