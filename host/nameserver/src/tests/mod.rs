mod answering;
mod fixtures;
mod provider;
mod replying;
mod serving;
