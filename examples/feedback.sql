-- The article's table. Load it into a server of yours:
--   mariadb -h 127.0.0.1 -P 3307 -u me -p mydb < examples/feedback.sql
SET NAMES utf8mb4;
CREATE TABLE Feedback (id INT AUTO_INCREMENT PRIMARY KEY, user_feedback TEXT);
INSERT INTO Feedback (user_feedback) VALUES
  ('I love the new dashboard. Finding last month''s invoices takes seconds now!'),
  ('The update is awful: my searches are gone and nobody answers my complaint.'),
  ('Delivery was on Tuesday.'),
  ('Great product, great price, and the setup was surprisingly easy.'),
  ('The battery dies after two hours. Very disappointing for this price.'),
  ('The box contains a cable and a manual.'),
  ('Support was friendly and solved my problem in ten minutes. Thank you!'),
  ('The app crashes every time I open the camera. This is terrible.'),
  ('I use it at work and at home.'),
  ('Beautiful screen and excellent sound; I would happily buy it again.'),
  ('Worst checkout I have ever used. I gave up and bought it somewhere else.');
