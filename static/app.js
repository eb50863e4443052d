// What a page can do better with a script. Without it, nothing is missing.

/** Puts a button beside each field that is there to be copied; `data-copy` on the script's element is its word. */
