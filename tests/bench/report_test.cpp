#include <gtest/gtest.h>

#include "report/csv.hpp"
#include "report/document.hpp"
#include "report/html.hpp"
#include "report/markdown.hpp"
#include "report/text.hpp"

namespace ckl::bench {
namespace {

Row row(const std::string& impl, double us) {
  Row row;
  row.op = "gemm";
  row.suite = "s";
  row.problem = {{"m", 64}, {"n", 128}, {"k", 256}};
  row.dtype = row.dtype_out = "bf16";
  row.layout = "tn";
  row.regime = "cold";
  row.impl = impl;
  row.verified = true;
  row.error = 0.001;
  row.time_us = Spread{us, us * 0.99, us * 1.01};
  row.tflops = 4.2;
  return row;
}

Document document() {
  Document document;
  document.environment = {{"gpu", "Some <GPU>"}, {"cuda", "13.0"}};
  document.rows = {row("ckl", 10), row("cublaslt_top1", 9)};
  document.rows[0].config = "a, \"quoted\" config";
  document.rows[0].ratio["cublaslt_top1"] = {0.9, 0.89, 0.91};
  return document;
}

TEST(Document, SurvivesJson) {
  const Json json = to_json(document());
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("rows")[0].at("ratio").at("cublaslt_top1").at("p10"), 0.89);
  EXPECT_EQ(to_json(document_from_json(json)), json);
}

TEST(Document, LeavesOutWhatWasNotMeasured) {
  Document untimed = document();
  untimed.rows[0].time_us.reset();
  untimed.rows[0].tflops.reset();
  const Json json = to_json(untimed);
  EXPECT_FALSE(json.at("rows")[0].contains("time_us"));
  EXPECT_FALSE(json.at("rows")[0].contains("tflops"));
}

TEST(Document, RejectsOtherJson) {
  EXPECT_THROW(document_from_json(Json::parse("[]")), std::runtime_error);
  EXPECT_THROW(document_from_json(Json::parse(R"({"schema": 2, "environment": {}, "rows": []})")), std::runtime_error);
  EXPECT_THROW(document_from_json(Json::parse(R"({"schema": 1, "environment": {}, "rows": [{"op": "gemm"}]})")),
               std::runtime_error);
}

TEST(Summary, CountsRowsAtTheTarget) {
  std::vector<Row> rows;
  for (double ratio : {0.5, 0.95, 2.0}) {
    rows.push_back(row("ckl", 10));
    rows.back().ratio["cublaslt_top1"] = {ratio, ratio, ratio};
  }
  const std::vector<Summary> summaries = summarize(rows, "gemm", "cold");
  ASSERT_EQ(summaries.size(), 1u);
  EXPECT_DOUBLE_EQ(summaries[0].minimum, 0.5);
  EXPECT_NEAR(summaries[0].geometric_mean, std::cbrt(0.95), 1e-12);
  EXPECT_NEAR(summaries[0].share_at_target, 2.0 / 3, 1e-12);
  EXPECT_TRUE(summarize(rows, "gemm", "sustained").empty());
}

TEST(Summary, CountsFailedRowsAsMisses) {
  std::vector<Row> rows = {row("ckl", 10), row("ckl", 10)};
  rows[0].ratio["cublaslt_top1"] = {1, 1, 1};
  rows[1].verified = false;
  const Summary summary = summarize(rows, "gemm", "cold").front();
  EXPECT_EQ(summary.failed, 1u);
  EXPECT_DOUBLE_EQ(summary.share_at_target, 0.5);
}

TEST(Markdown, HasOneLineForEachProblem) {
  const std::string text = markdown(document());
  EXPECT_NE(text.find("| 64x128x256 | bf16 tn | 10.00 | 4.2 TFLOP/s |  | 9.00 | 0.900 [0.890, 0.910] |"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("geometric mean 0.900, minimum 0.900, 0 % of 1 rows"), std::string::npos) << text;
}

TEST(Csv, QuotesFieldsAndKeepsColumns) {
  const std::string text = csv(document());
  EXPECT_NE(text.find("\"a, \"\"quoted\"\" config\""), std::string::npos);
  EXPECT_NE(text.find("ratio_cublaslt_top1_median"), std::string::npos);
  const std::string vendor = text.substr(text.rfind("Some <GPU>"));  // a line without quoted commas
  EXPECT_EQ(std::count(vendor.begin(), vendor.end(), ','),
            std::count(text.begin(), text.begin() + long(text.find('\n')), ','));
}

TEST(Html, StandsAloneAndEscapes) {
  const std::string text = html(document());
  EXPECT_NE(text.find("Some &lt;GPU&gt;"), std::string::npos);
  EXPECT_NE(text.find("<svg"), std::string::npos);
  EXPECT_EQ(text.find("http"), std::string::npos);
  EXPECT_EQ(text.find("<script"), std::string::npos);
}

TEST(Table, SaysWhyThereIsNoTime) {
  Row absent = row("cublaslt_top1", 1);
  absent.time_us.reset();
  absent.verified = false;
  absent.note = "not available under the emulator";
  EXPECT_NE(table_line(absent).find("not available under the emulator"), std::string::npos);
}

}  // namespace
}  // namespace ckl::bench
