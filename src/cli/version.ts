/** As in package.json; a test holds the two together, so that starting does not cost a file read. */
export const VERSION = '0.1.0';
